"""What callbacks are told: `response.meta["captcha_bypass"]` says whose challenge was passed, and how.

It stands beside the request's own options, for a spider that sends other requests with
`meta=response.meta`; there it is taken out before they leave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from scrapy import Request

#: Where the request's own options are, too.
META = "captcha_bypass"
#: Its keys: who challenged; how many seconds the service took, for the clearance or for this very
#: answer; and how the response was got.
KEYS = frozenset({"vendor", "seconds", "by"})
#: `cookies`: by Scrapy, with the clearance. `fetch`: by the browser, which sent the request. `page`: it
#: is what the browser shows.
By = Literal["cookies", "fetch", "page"]


def tell(request: Request, vendor: str, seconds: float, by: By) -> None:
    """Say how a request got its response, which will have the same meta."""
    told = {"vendor": vendor, "seconds": round(seconds, 3), "by": by}
    request.meta[META] = {**_options(request), **told}


def forget(request: Request) -> None:
    """Take out what another response said."""
    chosen = request.meta.get(META)
    if isinstance(chosen, dict) and not KEYS.isdisjoint(chosen):
        # Not in place: it may be the dict of that response.
        if left := _options(request):
            request.meta[META] = left
        else:
            del request.meta[META]


def _options(request: Request) -> dict[str, Any]:
    """Return the request's own options, in the form of a dict."""
    chosen = request.meta.get(META)
    if isinstance(chosen, str):
        return {"mode": chosen}
    if not isinstance(chosen, dict):
        return {}
    return {name: value for name, value in chosen.items() if name not in KEYS}
