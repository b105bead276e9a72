"""What the API tells of the browsers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class BrowserStatus:
    """How the browsers stand at one moment.

    Attributes:
        starting: None has passed its self-check yet, and nothing is known to be wrong.
        unavailable: Why no task can run now, or None.
        browser: Name and version of the browser; "" until it is known.
        version: Its version alone.
        warning: Why another browser than the default is in use, or None.
        census: The numbers of api.answers.Browsers.
    """

    starting: bool = False
    unavailable: str | None = None
    browser: str = ""
    version: str = ""
    warning: str | None = None
    census: Mapping[str, Any] = field(
        default_factory=lambda: {"tasks": [], "starting": 0, "restarts": {}}
    )
