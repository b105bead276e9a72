"""What a request remembers about its challenges, and how it is sent again.

All of it is in meta under `_captcha_bypass_*`, plain values that fit in a JOBDIR, and is gone as
soon as the request gets its page, so that `meta=response.meta` in a spider carries nothing along.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.exits import same_site
from captcha_bypass_scrapy.pages import first_url

if TYPE_CHECKING:
    from scrapy import Request

_PREFIX = "_captcha_bypass_"
_CARRIED = _PREFIX + "carried"  # generations of the clearances it went out with
_TIMES = _PREFIX + "times"  # how often it led a solve
_STALE = _PREFIX + "stale"  # how often only its clearance was outdated
_CHALLENGED = _PREFIX + "challenged"  # it was answered with a challenge and is parked
_VERDICT = _PREFIX + "verdict"  # what it waited for has failed
_LEAVING = _PREFIX + "leaving"  # the spider is closing; back to the scheduler with it
_PROBE = _PREFIX + "probe"  # it goes out to see whether only other pages are challenged
_UNCACHED = _PREFIX + "uncached"  # we set dont_cache
_BODY = _PREFIX + "body"  # (url, method, body, content type), before a redirect drops it

_RUN = secrets.token_hex(4)

#: Far more than late answers can explain: then the clearance is never attached, because the
#: DOWNLOADER in use does not send the signal for it.
MAX_STALE = 10


def carry(request: Request, generation: int) -> None:
    """Note that the request goes out with this clearance."""
    request.meta[_CARRIED] = (*carried(request), generation)


def carried(request: Request) -> tuple[int, ...]:
    """Return the generations the request went out with, over its redirects."""
    return tuple(request.meta.get(_CARRIED, ()))


def take_carried(request: Request) -> tuple[int, ...]:
    """Return them and forget them: the next pass is another matter."""
    return tuple(request.meta.pop(_CARRIED, ()))


def times(request: Request) -> int:
    """Return how often the request was sent again after a solve for it."""
    return int(request.meta.get(_TIMES, 0))


def again(request: Request, *, counted: bool = False, stale: bool = False) -> Request:
    """Return the copy to send again, from before any redirect.

    Raises:
        SolveError: the clearance never arrives.
    """
    if stale and request.meta.get(_STALE, 0) >= MAX_STALE:
        raise SolveError(
            "the clearance is never attached; does the DOWNLOADER in use send the signal"
            " request_reached_downloader?"
        )
    copy = _before_redirects(request)
    copy.meta[_CHALLENGED] = True
    copy.meta.pop(_PROBE, None)
    if counted:
        copy.meta[_TIMES] = times(request) + 1
    if stale:
        copy.meta[_STALE] = request.meta.get(_STALE, 0) + 1
    return copy


def _before_redirects(request: Request) -> Request:
    url = first_url(request)
    if "redirect_urls" not in request.meta:
        return request.replace(dont_filter=True)
    changes: dict[str, Any] = {"url": url, "dont_filter": True}
    headers = request.headers.copy()
    kept = request.meta.get(_BODY)
    if kept is not None and kept[0] == url:
        changes |= {"method": kept[1], "body": kept[2]}
        if kept[3] is not None:
            headers[b"Content-Type"] = kept[3]
    copy: Request = request.replace(headers=headers, **changes)
    for name in ("redirect_urls", "redirect_reasons", "redirect_times", "redirect_ttl"):
        copy.meta.pop(name, None)
    if urlsplit(url).hostname != urlsplit(request.url).hostname:
        copy.meta.pop("download_slot", None)
    return copy


def probe(request: Request) -> None:
    """Note that the request goes out although its host is being solved."""
    request.meta[_PROBE] = True


def probing(request: Request) -> bool:
    """Whether it did."""
    return bool(request.meta.get(_PROBE))


def remember_body(request: Request) -> None:
    """Keep what a redirect to a challenge would drop."""
    if request.method not in {"GET", "HEAD"} and "redirect_urls" not in request.meta:
        kind = request.headers.get(b"Content-Type")
        request.meta[_BODY] = (request.url, request.method, request.body, kind)


def home_url(request: Request) -> str:
    """Return the URL whose host a challenge stands for.

    A redirect within the site (http to https, to www) leads to where the clearance is needed; one
    to another site led to the vendor's page, and it is needed where the request came from.
    """
    first = first_url(request)
    return request.url if same_site(request.url, first) else first


def uncached(request: Request) -> Request:
    """Return the copy that asks the site and not the cache."""
    copy = request.replace(dont_filter=True)
    copy.meta["dont_cache"] = copy.meta[_UNCACHED] = True
    return copy


def challenged(request: Request) -> bool:
    """Whether it was answered with a challenge, rather than held before it was sent."""
    return bool(request.meta.get(_CHALLENGED))


def unsent(request: Request) -> bool:
    """Whether it was held before it was sent."""
    return not challenged(request)


def unchallenged(request: Request) -> None:
    """Note that an earlier challenge has nothing to do with what it waits for now."""
    request.meta.pop(_CHALLENGED, None)


def condemn(request: Request, vendor: str, error: SolveError) -> None:
    """Have the request fail when it comes by, without asking the site again."""
    request.meta[_VERDICT] = (_RUN, vendor, str(error), error.kind)


def verdict(request: Request) -> tuple[str, SolveError] | None:
    """Return the vendor and the error of a condemned request, once; another run starts anew."""
    found = request.meta.get(_VERDICT)
    if found is None:
        return None
    forget(request)
    run, vendor, reason, kind = found
    return (vendor, SolveError(reason, kind)) if run == _RUN else None


def leave(request: Request) -> Request:
    """Return the copy that goes back to the scheduler, as if it had not been sent."""
    copy = _before_redirects(request)
    forget(copy)
    copy.meta[_LEAVING] = True
    return copy


def leaving(request: Request) -> bool:
    """Whether it is on its way to the scheduler; unmarks it."""
    return bool(request.meta.pop(_LEAVING, False))


def forget(request: Request) -> None:
    """Remove everything of ours."""
    if request.meta.get(_UNCACHED):
        request.meta.pop("dont_cache", None)
    for name in [name for name in request.meta if str(name).startswith(_PREFIX)]:
        del request.meta[name]
