"""What a request remembers about its challenges.

All of it is in meta under `_captcha_bypass_*`, plain values that fit in a JOBDIR and in JSON. It
is gone as soon as the request gets its page, so that `meta=response.meta` in a spider carries
nothing along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy import Request

#: What all our keys in meta begin with.
PREFIX = "_captcha_bypass_"
_CARRIED = PREFIX + "carried"  # generations of the clearances it went out with
_TIMES = PREFIX + "times"  # how often a solve that it led worked
_FAILURES = PREFIX + "failures"  # how often one that it led or waited for did not
_SOLVE = PREFIX + "solve"  # number of the solve it waits for since it was challenged
_LED = PREFIX + "led"  # number of the solve it led
_COUNTED = PREFIX + "counted"  # number of the failed solve it has counted
_PROBE = PREFIX + "probe"  # it goes out to see whether only other pages are challenged
_BY_COOKIES = PREFIX + "by_cookies"  # a browser's page cannot hand it over
_BY_BROWSER = PREFIX + "by_browser"  # the browser sends it, although its site takes the cookies
_FETCHED = PREFIX + "fetched"  # its response is what the browser was answered
_IN_VAIN = PREFIX + "in_vain"  # how often it was challenged although the browser sends it
_UNCACHED = PREFIX + "uncached"  # we set dont_cache
_OFFSITE = PREFIX + "offsite"  # we set allow_offsite


# Clearances


def note_carried(request: Request, generation: int) -> None:
    """Note that the request goes out with this clearance."""
    request.meta[_CARRIED] = [*carried(request), generation]


def carried(request: Request) -> tuple[int, ...]:
    """Return the generations of the clearances it went out with, over its redirects."""
    return tuple(request.meta.get(_CARRIED, ()))


def take_carried(request: Request) -> tuple[int, ...]:
    """Return those generations and forget them: they say nothing about the next time."""
    return tuple(request.meta.pop(_CARRIED, ()))


def mark_by_cookies(request: Request) -> None:
    """Have the request go out with the clearance, although its mode asks for browsers' pages."""
    request.meta[_BY_COOKIES] = True


def goes_by_cookies(request: Request) -> bool:
    """Whether it goes out with the clearance whatever its mode."""
    return bool(request.meta.get(_BY_COOKIES))


def mark_by_browser(request: Request) -> None:
    """Have the browser send this request, whatever the way of its site."""
    request.meta[_BY_BROWSER] = True


def goes_by_browser(request: Request) -> bool:
    """Whether the browser sends it whatever the way of its site."""
    return bool(request.meta.get(_BY_BROWSER))


def mark_fetched(request: Request) -> None:
    """Note that the browser has got its answer."""
    request.meta[_FETCHED] = True


def was_fetched(request: Request) -> bool:
    """Whether it was the browser that got its answer, or that of a redirect before it."""
    return bool(request.meta.get(_FETCHED))


def count_in_vain(request: Request) -> int:
    """Count a challenge that it met although the browser sends it; returns how many there were."""
    count = request.meta[_IN_VAIN] = int(request.meta.get(_IN_VAIN, 0)) + 1
    return count


# Solves


def wait_for(request: Request, solve: int, *, leads: bool = False, counted: bool = False) -> None:
    """Note that a challenged request waits for a solve.

    Args:
        solve: Its number.
        leads: Whether the request is the one that asked for it.
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


def stop_waiting(request: Request) -> None:
    """Forget the solve it waits for, which says nothing about this request."""
    for name in (_SOLVE, _LED, _COUNTED):
        request.meta.pop(name, None)


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


def times(request: Request) -> int:
    """Return how many solves that it led have worked."""
    return int(request.meta.get(_TIMES, 0))


def has_counted(request: Request, solve: int) -> bool:
    """Whether it has counted the failure of this solve."""
    return bool(request.meta.get(_COUNTED) == solve)


def mark_counted(request: Request, solve: int) -> None:
    """Note that the failure of this solve is not to be counted again."""
    request.meta[_COUNTED] = solve


def count_failure(request: Request) -> int:
    """Count a failed solve; returns how many there were."""
    count = request.meta[_FAILURES] = int(request.meta.get(_FAILURES, 0)) + 1
    return count


def mark_probe(request: Request) -> None:
    """Note that the request goes out although its site is being solved."""
    request.meta[_PROBE] = True


def is_probe(request: Request) -> bool:
    """Whether it went out although its site was being solved."""
    return bool(request.meta.get(_PROBE))


def end_probe(request: Request) -> None:
    """Have the request wait like others from now on."""
    request.meta.pop(_PROBE, None)


# Other middlewares


def mark_uncached(request: Request) -> None:
    """Have the request go past the cache, which had a challenge for it."""
    request.meta["dont_cache"] = request.meta[_UNCACHED] = True


def asks_past_cache(request: Request) -> bool:
    """Whether it went past the cache for that."""
    return bool(request.meta.get(_UNCACHED))


def allow_offsite(request: Request) -> None:
    """Have the offsite filter pass the redirects of this request."""
    request.meta["allow_offsite"] = request.meta[_OFFSITE] = True


def has_allowed_offsite(request: Request) -> bool:
    """Whether it was us who had the filter pass them."""
    return bool(request.meta.get(_OFFSITE))


def user_allows_offsite(request: Request) -> bool:
    """Whether it was the spider."""
    return bool(request.meta.get("allow_offsite")) and not has_allowed_offsite(request)


def withdraw_offsite(request: Request) -> None:
    """Undo `allow_offsite`."""
    if request.meta.pop(_OFFSITE, False):
        request.meta.pop("allow_offsite", None)


def clear(request: Request) -> None:
    """Remove everything of ours."""
    if request.meta.get(_UNCACHED):
        request.meta.pop("dont_cache", None)
    withdraw_offsite(request)
    for name in [name for name in request.meta if str(name).startswith(PREFIX)]:
        del request.meta[name]
