"""A request that met a challenge, with all that decides how it is solved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from captcha_bypass_scrapy.options import wants_page

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response

    from captcha_bypass.challenges import Challenge
    from captcha_bypass_scrapy.keys import SiteKey, Target
    from captcha_bypass_scrapy.options import Options


@dataclass(frozen=True, slots=True)
class Challenged:
    """A request that met a challenge.

    Attributes:
        target: What the challenge is solved for, and which pages are opened for that.
        response: The challenge page, for errbacks; None where it is too large to be kept.
        carried: Generations of the clearances that the request went out with.
        fetched: Whether it was the browser that sent the request.
    """

    request: Request
    challenge: Challenge
    target: Target
    options: Options
    response: Response | None
    carried: tuple[int, ...] = ()
    fetched: bool = False

    @property
    def key(self) -> SiteKey:
        """The site and the proxy that the challenge is solved for."""
        return self.target.key

    @property
    def wants_page(self) -> bool:
        """Whether it gets the browser's page, and cookies are not tried."""
        return wants_page(self.request, self.options)

    @property
    def why_no_page(self) -> str | None:
        """Why the browser's page cannot be its response where cookies are refused, or None."""
        if self.options.mode == "cookies":
            return "mode is cookies"
        return None if self.request.method == "GET" else f"it is a {self.request.method}"
