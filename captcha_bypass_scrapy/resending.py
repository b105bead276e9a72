"""How a request is sent again: the copies that a middleware returns in its place."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.keys import first_url, host_of
from captcha_bypass_scrapy.request_state import PREFIX

if TYPE_CHECKING:
    from scrapy import Request

_BEFORE = PREFIX + "before"  # dont_filter and priority, before we changed them
_REDIRECTS = PREFIX + "redirects"  # URLs of earlier redirects, which the dupefilter knows now
_STALE = PREFIX + "stale"  # how often only the clearance was outdated
_LEAVING = PREFIX + "leaving"  # the spider is closing; back to the scheduler with it
_BODY = PREFIX + "body"  # [url, method, body, content type], before a redirect drops it

#: Far more than late answers can explain: then the clearance is never attached, because the
#: DOWNLOADER in use does not send the signal for it.
MAX_STALE = 10


def resent(request: Request, **changes: Any) -> Request:  # noqa: ANN401 - Request's own arguments
    """Return a copy that neither the dupefilter nor the offsite filter drops.

    Its original has passed them. `restore` must be called when the copy comes to the middleware.
    """
    before = request.meta.get(_BEFORE, [request.dont_filter, request.priority])
    copy: Request = request.replace(dont_filter=True, **changes)
    copy.meta[_BEFORE] = before
    return copy


def restore(request: Request) -> bool:
    """Give a copy back the `dont_filter` and the priority of its original.

    With its own `dont_filter`, what the page redirects to is filtered as ever.

    Returns:
        Whether the request had waited in the scheduler.
    """
    before = request.meta.pop(_BEFORE, None)
    if before is None:
        return False
    waited = request.priority < before[1]
    request.dont_filter, request.priority = before
    return bool(waited)


def let_through(request: Request) -> None:
    """Have the dupefilter pass a redirect that an earlier copy of the request has followed."""
    if not request.dont_filter and request.url in request.meta.get(_REDIRECTS, ()):
        request.meta[_BEFORE] = [False, request.priority]
        request.dont_filter = True


def remember_body(request: Request) -> None:
    """Keep method and body, which a redirect to a challenge would drop."""
    if request.method not in {"GET", "HEAD"} and "redirect_urls" not in request.meta:
        kind = request.headers.get(b"Content-Type")
        body = base64.b64encode(request.body).decode()
        text = None if kind is None else kind.decode("latin-1")
        request.meta[_BODY] = [request.url, request.method, body, text]


def again(request: Request, *, stale: bool = False) -> Request:
    """Return the copy that is sent again, as the request was before any redirect.

    Args:
        stale: Whether the request only lacked the newest clearance.

    Raises:
        SolveError: that was so too often; the clearance never arrives.
    """
    if stale and request.meta.get(_STALE, 0) >= MAX_STALE:
        raise SolveError(
            "the clearance is never attached; does the DOWNLOADER in use send the signal"
            " request_reached_downloader?"
        )
    copy = _before_redirects(request)
    request_state.end_probe(copy)
    if stale:
        copy.meta[_STALE] = request.meta.get(_STALE, 0) + 1
    return copy


def by_cookies(request: Request) -> Request:
    """Return the copy that goes out with the clearance, for what no browser's page can be."""
    copy = again(request)
    request_state.mark_by_cookies(copy)
    return copy


def uncached(request: Request) -> Request:
    """Return the copy that asks the site and not the cache."""
    copy = resent(request)
    request_state.mark_uncached(copy)
    return copy


def requeued(request: Request) -> Request:
    """Return the copy that goes back to the scheduler, as if it had not been sent."""
    copy = _before_redirects(request)
    kept = {name: copy.meta[name] for name in (_BEFORE, _REDIRECTS) if name in copy.meta}
    request_state.clear(copy)
    copy.meta.update(kept)
    copy.meta[_LEAVING] = True
    return copy


def pop_leaving(request: Request) -> bool:
    """Take the mark of `requeued` off a request; says whether it was there."""
    return bool(request.meta.pop(_LEAVING, False))


def _before_redirects(request: Request) -> Request:
    url = first_url(request)
    if "redirect_urls" not in request.meta:
        return resent(request)
    changes: dict[str, Any] = {"url": url}
    headers = request.headers.copy()
    kept = request.meta.get(_BODY)
    if kept is not None and kept[0] == url:
        changes |= {"method": kept[1], "body": base64.b64decode(kept[2])}
        if kept[3] is not None:
            headers[b"Content-Type"] = kept[3]
    copy = resent(request, headers=headers, **changes)
    copy.meta[_REDIRECTS] = [*request.meta["redirect_urls"][1:], request.url]
    for name in ("redirect_urls", "redirect_reasons", "redirect_times", "redirect_ttl"):
        copy.meta.pop(name, None)
    request_state.withdraw_offsite(copy)
    if host_of(url) != host_of(request.url):
        copy.meta.pop("download_slot", None)
    return copy
