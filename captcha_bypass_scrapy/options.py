"""The values of `meta["captcha_bypass"]`, checked when the request leaves the spider.

A value that makes no sense would else wait for the first challenge, and fail there in the
service's words, for everybody who waits for that solve.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BLOCKABLE = ("image", "media", "font", "stylesheet")
#: As the service takes them.
_LONGEST_URL = 2048
_LONGEST_SELECTOR = 1024


def check_wishes(chosen: Mapping[str, Any], where: str) -> None:
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


def _is_seconds(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < math.inf  # type: ignore[operator]


def _is_text(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip() != "")


def _is_selector(value: object) -> bool:
    return _is_text(value) and len(str(value)) <= _LONGEST_SELECTOR


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
    "timeout": (_is_seconds, "a number of seconds above 0"),
    "retry_times": (_is_count, "0 or more"),
    "success_text": (_is_text, "a text that is not blank"),
    "success_selector": (_is_selector, "a CSS selector of at most 1024 characters"),
    "no_challenge": (_is_flag, "True or False"),
    "url": (
        _is_url,
        "an http or https URL with a host, without a login, of at most 2048 characters",
    ),
    "block": (_is_block, f"a list of {', '.join(_BLOCKABLE)}"),
}
