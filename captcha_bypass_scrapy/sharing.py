"""Clearances that several crawls share through the service."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from captcha_bypass.challenges import CLEARANCE_COOKIES
from captcha_bypass_scrapy.tasks import opens_own_page, own_cookies

if TYPE_CHECKING:
    from captcha_bypass_scrapy.challenged import Challenged
    from captcha_bypass_scrapy.detection import Detector

#: A process that has begun so long before its crawl has done something else first.
START_SECONDS = 60.0


class Sharing:
    """Whether a solve may be answered with what another crawl has got, and how old that may be.

    Args:
        reuse: The setting CAPTCHA_BYPASS_REUSE: whether, or at most so many seconds old.
    """

    def __init__(self, reuse: bool | float, detect: Detector) -> None:
        self._reuse = reuse
        self._detect = detect
        self._began = time.monotonic() - before_crawl(process_seconds())

    @property
    def is_on(self) -> bool:
        """Whether the crawl shares at all."""
        return self._reuse is not False

    def max_age(self, challenged: Challenged) -> float | None:
        """Return how many seconds old a clearance may be that answers this solve.

        None: it needs one of its own. Its page is what is wanted, or what a detector of the user's has
        to look at; or its vendor is known by no cookie, so that the request's own session is what gets
        through.
        """
        options = challenged.options
        asks_detector = self._detect.own and not (options.success_text or options.success_selector)
        if not self.is_on or asks_detector or opens_own_page(challenged):
            return None
        vendor = challenged.challenge.vendor
        if vendor not in CLEARANCE_COOKIES and own_cookies(challenged.request, vendor):
            return None
        return time.monotonic() - self._began if self._reuse is True else float(self._reuse)


def before_crawl(seconds: float) -> float:
    """Return how long before now a crawl began whose process has run for so many seconds.

    Of crawls that are started together some have got a clearance before others have loaded Scrapy.
    """
    return seconds if 0 <= seconds <= START_SECONDS else 0.0


def process_seconds() -> float:
    """Return how long this process has run; 0 where the system does not say."""
    if sys.platform != "linux":
        return 0.0
    try:
        # Field 22, in ticks since the machine started, as proc_pid_stat(5) has it.
        ticks = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
