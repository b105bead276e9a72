"""Asks a container's service for its health: `python -m captcha_bypass.healthcheck`."""

from __future__ import annotations

import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NoReturn

from captcha_bypass.config import Config, parse

#: Seconds; the image's HEALTHCHECK gives 5.
TIMEOUT = 4.0


def healthy(config: Config) -> bool:
    """Whether the service with these settings answers 200."""
    connection = HTTPConnection(_here(config.host), config.port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False


def _here(host: str) -> str:
    # All addresses of a kind are asked for at loopback's.
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - asked, not bound


def flags_of(first_process: Path = Path("/proc/1/cmdline")) -> list[str]:
    """Return the flags that the service was started with, from a container's first process."""
    try:
        words = first_process.read_text("utf-8", "replace").split("\0")
    except OSError:
        return []
    names = [Path(word).name for word in words]
    return words[names.index("captcha-bypass") + 1 : -1] if "captcha-bypass" in names else []


def _unhealthy(message: str) -> NoReturn:
    sys.exit(message)


if __name__ == "__main__":
    sys.exit(not healthy(parse(flags_of(), _unhealthy)))
