"""What a request says about its challenge in `meta["captcha_bypass"]`, beside the settings.

The values are checked when the request leaves the spider. One that makes no sense would else wait
for the first challenge, and fail there in the service's words, for everybody who waits for that
solve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast, get_args
from urllib.parse import urlsplit

from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.outcome import KEYS, META
from captcha_bypass_scrapy.settings import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scrapy import Request

    from captcha_bypass_scrapy.settings import Config, OnChallenge

#: The keys of the request's own options: `meta["captcha_bypass"] = False | "html" | {...}`.
OPTIONS = {
    *("mode", "timeout", "success_text", "success_selector", "no_challenge", "url", "block"),
    *("retry_times", "screenshot"),
}
_MODES = get_args(Mode)
_ONE_OF_MODES = f"one of {', '.join(_MODES)}"
_BLOCKABLE = ("image", "media", "font", "stylesheet")
#: As the service takes them.
_LONGEST_URL = 2048
_LONGEST_SELECTOR = 1024
_MOST_ALTERNATIVES = 16


@dataclass(frozen=True, slots=True)
class Options:
    """How one request's challenge is solved: the settings, and what its meta says otherwise."""

    mode: Mode
    timeout_seconds: float
    #: One, or several of which any is enough.
    success_text: str | tuple[str, ...] | None
    success_selector: str | tuple[str, ...] | None
    no_challenge: bool = True
    url: str | None = None
    block: tuple[str, ...] = ()
    retry_times: int = 2
    #: Whether a solve that fails comes with a picture of what the browser showed.
    screenshot: bool = False
    #: Whether a person is waited for; None: as the service's settings say.
    on_challenge: OnChallenge | None = None
    #: Whether the solve is as the settings say, and not by options of this request's own.
    shared: bool = True

    def same_solve(self, other: Options) -> bool:
        """Whether both ask for the same solve, whatever is done with its result."""
        return replace(self, mode=other.mode, retry_times=other.retry_times) == other

    def conditions(self) -> dict[str, Any]:
        """Return the fields of POST /solve that say when the page is through."""
        fields = {
            "no_challenge": self.no_challenge or None,
            "success_text": self.success_text,
            "success_selector": self.success_selector,
            "block": list(self.block) or None,
        }
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in fields.items()
            if value is not None
        }


def wanted(request: Request) -> bool:
    """Whether the middleware handles the request: not `file:` or `data:`, and not switched off."""
    return request.meta.get(META) is not False and request.url.startswith(("http:", "https:"))


def options_of(request: Request, config: Config) -> Options:
    """Return how to solve this request's challenge.

    Raises:
        ValueError, TypeError: its meta says something unknown.
    """
    options = _of_settings(config, _retry_times(request, config))
    chosen = request.meta.get(META)
    if chosen is None or isinstance(chosen, bool):
        return options
    if isinstance(chosen, str):
        if chosen not in _MODES:
            raise ValueError(f'meta["{META}"] must be {_ONE_OF_MODES}, not {chosen!r}')
        return replace(options, mode=cast("Mode", chosen))
    if not isinstance(chosen, dict):
        raise TypeError(f'meta["{META}"] must be False, a mode or a dict, not {chosen!r}')
    return _with_chosen(options, chosen)


def wants_page(request: Request, options: Options) -> bool:
    """Whether a challenge is answered with the browser's page without trying the cookies."""
    by_page = options.mode == "html" and request.method == "GET"
    return by_page and not request_state.goes_by_cookies(request)


@lru_cache(maxsize=16)
def _of_settings(config: Config, retry_times: int) -> Options:
    """Return the options of nearly every request; each is asked for them twice."""
    return Options(
        config.mode,
        config.timeout_seconds,
        config.success_text,
        config.success_selector,
        retry_times=retry_times,
        screenshot=config.screenshot,
        on_challenge=config.on_challenge,
    )


def _with_chosen(options: Options, chosen: Mapping[str, Any]) -> Options:
    chosen = {name: value for name, value in chosen.items() if name not in KEYS}
    if unknown := set(chosen) - OPTIONS:
        raise ValueError(
            f'meta["{META}"] has unknown keys: {", ".join(sorted(map(str, unknown)))};'
            f" known are {', '.join(sorted(OPTIONS))}"
        )
    _check(chosen, f'meta["{META}"]')
    fields = dict(chosen)
    if "timeout" in fields:
        fields["timeout_seconds"] = float(fields.pop("timeout"))
    for name in ("block", "success_text", "success_selector"):
        if isinstance(fields.get(name), list | set | frozenset):
            fields[name] = tuple(fields[name])
    own = replace(options, **fields)
    if not own.no_challenge and own.success_text is None and own.success_selector is None:
        raise ValueError(
            f'meta["{META}"]["no_challenge"] is False, so success_text or success_selector must'
            " say when the page is through"
        )
    return replace(own, shared=own.same_solve(options))


def _retry_times(request: Request, config: Config) -> int:
    """Return what RetryMiddleware would go by, where the request says it."""
    if request.meta.get("dont_retry"):
        return 0
    return int(request.meta.get("max_retry_times", config.retry_times))


def _check(chosen: Mapping[str, Any], where: str) -> None:
    """Check the values of a request's own options; keys that are not known are ignored.

    Raises:
        ValueError: a value makes no sense; the message names its option.
    """
    for name, value in chosen.items():
        right, wanted = _CHECKS.get(name, (_anything, ""))
        if not right(value):
            raise ValueError(f'{where}["{name}"] must be {wanted}, not {value!r}')


def _anything(value: object) -> bool:
    return True


def _is_mode(value: object) -> bool:
    return value in _MODES


def _is_seconds(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < math.inf  # type: ignore[operator]


def _is_text(value: object) -> bool:
    return value is None or all(isinstance(one, str) and one.strip() for one in _several(value))


def _is_selector(value: object) -> bool:
    short = value is None or all(len(str(one)) <= _LONGEST_SELECTOR for one in _several(value))
    return short and _is_text(value)


def _several(value: object) -> Sequence[Any]:
    """Return the items of a condition that is a list; what is none stands for itself."""
    if not isinstance(value, list | tuple):
        return (value,)
    return value if 0 < len(value) <= _MOST_ALTERNATIVES else (None,)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_url(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, str) or len(value) > _LONGEST_URL:
        return False
    try:
        parts = urlsplit(value)
        named = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        return parts.scheme in {"http", "https"} and named
    except ValueError:
        return False


def _is_block(value: object) -> bool:
    listed = isinstance(value, list | tuple | set | frozenset)
    return listed and all(one in _BLOCKABLE for one in value)  # type: ignore[attr-defined]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "mode": (_is_mode, _ONE_OF_MODES),
    "timeout": (_is_seconds, "a number of seconds above 0"),
    "retry_times": (_is_count, "0 or more"),
    "success_text": (_is_text, "a text that is not blank, or a list of at most 16"),
    "success_selector": (
        _is_selector,
        "a CSS selector of at most 1024 characters, or a list of at most 16",
    ),
    "no_challenge": (_is_flag, "True or False"),
    "screenshot": (_is_flag, "True or False"),
    "url": (
        _is_url,
        "an http or https URL with a host, without a login, of at most 2048 characters",
    ),
    "block": (_is_block, f"a list of {', '.join(_BLOCKABLE)}"),
}
