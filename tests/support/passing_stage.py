"""A user's HTTP library between a service without a browser and a challenge site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demo.challenge_site import SiteOptions
from tests.support.clients import Clock
from tests.support.flaresolverr_service import V1
from tests.support.http_libraries import Library
from tests.support.stand_in_browser import StandInBrowser

OPTIONS = SiteOptions(work=0, cookie="cf_clearance")


@dataclass
class Stage:
    library: Library
    browser: StandInBrowser
    service: V1
    #: The challenge site, and its counters.
    url: str
    stats: Any
    #: The site's.
    clock: Clock
