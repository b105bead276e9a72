"""What a request remembers about its challenges, and how it is sent again.

All of it is in meta under `_captcha_bypass_*`, plain values that fit in a JOBDIR and in JSON, and
is gone as soon as the request gets its page, so that `meta=response.meta` in a spider carries
nothing along.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.keys import first_url

if TYPE_CHECKING:
    from scrapy import Request

_PREFIX = "_captcha_bypass_"
_CARRIED = _PREFIX + "carried"  # generations of the clearances it went out with
_TIMES = _PREFIX + "times"  # how often a solve that it led worked
_FAILURES = _PREFIX + "failures"  # how often one that it led or waited for did not
_STALE = _PREFIX + "stale"  # how often only its clearance was outdated
_SOLVE = _PREFIX + "solve"  # number of the solve it waits for since it was challenged
_LED = _PREFIX + "led"  # number of the solve it led
_COUNTED = _PREFIX + "counted"  # number of the failed solve it has counted
_BEFORE = _PREFIX + "before"  # dont_filter and priority, before we changed them
_REDIRECTS = _PREFIX + "redirects"  # URLs of earlier redirects, which the dupefilter knows now
_LEAVING = _PREFIX + "leaving"  # the spider is closing; back to the scheduler with it
_PROBE = _PREFIX + "probe"  # it goes out to see whether only other pages are challenged
_BY_COOKIES = _PREFIX + "by_cookies"  # a browser's page cannot hand it over
_UNCACHED = _PREFIX + "uncached"  # we set dont_cache
_OFFSITE = _PREFIX + "offsite"  # we set allow_offsite
_BODY = _PREFIX + "body"  # [url, method, body, content type], before a redirect drops it

#: Far more than late answers can explain: then the clearance is never attached, because the
#: DOWNLOADER in use does not send the signal for it.
MAX_STALE = 10


def note_carried(request: Request, generation: int) -> None:
    """Note that the request goes out with this clearance."""
    request.meta[_CARRIED] = [*carried(request), generation]


def carried(request: Request) -> tuple[int, ...]:
    """Return the generations the request went out with, over its redirects."""
    return tuple(request.meta.get(_CARRIED, ()))


def take_carried(request: Request) -> tuple[int, ...]:
    """Return them and forget them: the next pass is another matter."""
    return tuple(request.meta.pop(_CARRIED, ()))


def times(request: Request) -> int:
    """Return how often the request was sent again after a solve that it led."""
    return int(request.meta.get(_TIMES, 0))


def resent(request: Request, **changes: Any) -> Request:  # noqa: ANN401 - Request's own arguments
    """Return a copy that neither the dupefilter nor the offsite filter drops: it was let through.

    `restore` has to be called when it comes by.
    """
    before = request.meta.get(_BEFORE, [request.dont_filter, request.priority])
    copy: Request = request.replace(dont_filter=True, **changes)
    copy.meta[_BEFORE] = before
    return copy


def restore(request: Request) -> bool:
    """Undo what `resent` and the parking changed: a redirect of the page is filtered as ever.

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
    """Have the dupefilter pass what a request that is sent again is redirected to again."""
    if not request.dont_filter and request.url in request.meta.get(_REDIRECTS, ()):
        request.meta[_BEFORE] = [False, request.priority]
        request.dont_filter = True


def again(request: Request, *, stale: bool = False) -> Request:
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
    copy.meta.pop(_PROBE, None)
    if stale:
        copy.meta[_STALE] = request.meta.get(_STALE, 0) + 1
    return copy


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
    if copy.meta.pop(_OFFSITE, False):
        copy.meta.pop("allow_offsite", None)
    if urlsplit(url).hostname != urlsplit(request.url).hostname:
        copy.meta.pop("download_slot", None)
    return copy


def wait_for(request: Request, solve: int, *, leads: bool = False, counted: bool = False) -> None:
    """Note that a challenged request waits for a solve.

    Args:
        leads: Whether it is the one that asked for it.
        counted: Whether its failure is not to be counted: it came before this request.
    """
    request.meta[_SOLVE] = solve
    if leads:
        request.meta[_LED] = solve
    if counted:
        request.meta[_COUNTED] = solve


def awaited_solve(request: Request) -> int | None:
    """Return the number of the solve it waits for, perhaps one of an earlier run."""
    number: int | None = request.meta.get(_SOLVE)
    return number


def has_led(request: Request, solve: int) -> bool:
    """Whether it led this solve."""
    return bool(request.meta.get(_LED) == solve)


def step_back(request: Request) -> None:
    """Let others lead the next solve."""
    request.meta.pop(_LED, None)


def note_solved(request: Request) -> None:
    """Note that the solve it waited for worked."""
    number = request.meta.pop(_SOLVE, None)
    if request.meta.pop(_LED, None) == number:
        request.meta[_TIMES] = times(request) + 1


def stop_waiting(request: Request) -> None:
    """Note that what it waited for was in another run."""
    for name in (_SOLVE, _LED, _COUNTED):
        request.meta.pop(name, None)


def has_counted(request: Request, solve: int) -> bool:
    """Whether the failure of this solve was counted for it."""
    return bool(request.meta.get(_COUNTED) == solve)


def mark_counted(request: Request, solve: int) -> None:
    """Note that it was."""
    request.meta[_COUNTED] = solve


def count_failure(request: Request) -> int:
    """Count a failed solve and return how many there were."""
    count = request.meta[_FAILURES] = int(request.meta.get(_FAILURES, 0)) + 1
    return count


def mark_probe(request: Request) -> None:
    """Note that the request goes out although its host is being solved."""
    request.meta[_PROBE] = True


def is_probe(request: Request) -> bool:
    """Whether it did."""
    return bool(request.meta.get(_PROBE))


def remember_body(request: Request) -> None:
    """Keep what a redirect to a challenge would drop."""
    if request.method not in {"GET", "HEAD"} and "redirect_urls" not in request.meta:
        kind = request.headers.get(b"Content-Type")
        body = base64.b64encode(request.body).decode()
        text = None if kind is None else kind.decode("latin-1")
        request.meta[_BODY] = [request.url, request.method, body, text]


def uncached(request: Request) -> Request:
    """Return the copy that asks the site and not the cache."""
    copy = resent(request)
    copy.meta["dont_cache"] = copy.meta[_UNCACHED] = True
    return copy


def by_cookies(request: Request) -> Request:
    """Return the copy that goes out with the clearance, for what no browser's page can be."""
    copy = again(request)
    copy.meta[_BY_COOKIES] = True
    return copy


def goes_by_cookies(request: Request) -> bool:
    """Whether it does, whatever its mode."""
    return bool(request.meta.get(_BY_COOKIES))


def asks_past_cache(request: Request) -> bool:
    """Whether the cache had a challenge for it, so that the site was asked."""
    return bool(request.meta.get(_UNCACHED))


def allow_offsite(request: Request) -> None:
    """Have the offsite filter pass the redirects of this request."""
    request.meta["allow_offsite"] = request.meta[_OFFSITE] = True


def has_allowed_offsite(request: Request) -> bool:
    """Whether it was us who did that."""
    return bool(request.meta.get(_OFFSITE))


def user_allows_offsite(request: Request) -> bool:
    """Whether it was the spider."""
    return bool(request.meta.get("allow_offsite")) and not has_allowed_offsite(request)


def requeued(request: Request) -> Request:
    """Return the copy that goes back to the scheduler, as if it had not been sent."""
    copy = _before_redirects(request)
    kept = {name: copy.meta[name] for name in (_BEFORE, _REDIRECTS) if name in copy.meta}
    clear(copy)
    copy.meta.update(kept)
    copy.meta[_LEAVING] = True
    return copy


def pop_leaving(request: Request) -> bool:
    """Whether it is on its way to the scheduler; unmarks it."""
    return bool(request.meta.pop(_LEAVING, False))


def clear(request: Request) -> None:
    """Remove everything of ours."""
    if request.meta.get(_UNCACHED):
        request.meta.pop("dont_cache", None)
    if request.meta.get(_OFFSITE):
        request.meta.pop("allow_offsite", None)
    for name in [name for name in request.meta if str(name).startswith(_PREFIX)]:
        del request.meta[name]
