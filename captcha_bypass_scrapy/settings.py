"""All settings, read and checked in one place."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, cast, get_args
from urllib.parse import urlsplit

from scrapy.exceptions import NotConfigured

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

Mode = Literal["auto", "cookies", "fetch", "html"]
OnChallenge = Literal["report", "wait"]
OnUnavailable = Literal["wait", "fail", "close"]
_PREFIX = "CAPTCHA_BYPASS_"
#: As the service takes them.
_MOST_ALTERNATIVES = 16


@dataclass(frozen=True, repr=False)
class Config:
    """The settings `CAPTCHA_BYPASS_*`, in seconds and counts.

    Attributes:
        url: Where the service is, without a slash at the end.
        api_key: Sent to the service only.
        mode: What a challenged request gets: `cookies` its own retry, `fetch` the answer to it that
            the browser gets, `html` the browser's page, `auto` the retry, and the browser's answer
            where the site refuses the cookies.
        timeout_seconds: What the browser gets for one challenge.
        times: How often one request may meet a challenge with a clearance it carried.
        retry_times: How often a failed solve is tried again for one request.
        cooldown_seconds: How long a host that twice was not solved is not tried again.
        on_unavailable: What challenged requests do while the service is away: `wait`, `fail`, or
            `close` the spider.
        unavailable_seconds: How long a service that is away, or whose queue does not move, is
            waited for.
        on_challenge: Whether the service waits for a person where a challenge needs one; None: as its
            own settings say.
        max_hosts: How many hosts of one registered domain are solved in a crawl.
        max_solves: How many solves a crawl asks for.
        cookies: Which of the browser's cookies to use: `auto`, `all`, or names (`*` allowed).
        reuse: Whether clearances are shared with other crawls; or at most so many seconds old.
        share_proxy: Whether the browser uses the request's proxy.
        screenshot: Whether a solve that fails comes with a picture of what the browser showed.
        long_poll_seconds: How long one question to the service lasts; also the time in which a
            closing spider lets go of a solve.
        slow_solve_seconds: When a solve is mentioned as taking long.
    """

    url: str
    api_key: str | None = None
    mode: Mode = "auto"
    timeout_seconds: float = 60.0
    times: int = 3
    retry_times: int = 2
    cooldown_seconds: float = 30.0
    on_unavailable: OnUnavailable = "wait"
    unavailable_seconds: float = 600.0
    on_challenge: OnChallenge | None = None
    max_hosts: int = 20
    max_solves: int = 10_000
    cookies: Literal["auto", "all"] | tuple[str, ...] = "auto"
    share_proxy: bool = True
    reuse: bool | float = True
    success_text: str | tuple[str, ...] | None = None
    success_selector: str | tuple[str, ...] | None = None
    screenshot: bool = False
    detector: str | None = None
    long_poll_seconds: float = 1.0
    slow_solve_seconds: float = 5.0

    def __repr__(self) -> str:
        # The key stays out of logs.
        return f"Config(url={without_login(self.url)!r}, mode={self.mode!r})"

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Self:
        """Read the settings; URL and key may also come from environment variables of that name.

        Raises:
            NotConfigured: switched off (silent), or there is no URL.
            ValueError: a setting has a value that makes no sense.
        """
        if not settings.getbool(_PREFIX + "ENABLED", True):
            raise NotConfigured
        url, key = (
            _service_url(settings),
            _text(settings, "API_KEY") or _from_environment("API_KEY"),
        )
        if key and "@" in urlsplit(url).netloc:
            raise ValueError(
                f"{_PREFIX}URL has a login and {_PREFIX}API_KEY is set, but both would be the header"
                " Authorization"
            )
        return cls(
            url=url,
            api_key=key,
            mode=_mode(settings),
            timeout_seconds=_number(settings, "TIMEOUT", cls.timeout_seconds, above=0),
            times=_count(settings, "TIMES", cls.times),
            retry_times=_count(settings, "RETRY_TIMES", cls.retry_times, least=0),
            cooldown_seconds=_number(settings, "COOLDOWN", cls.cooldown_seconds),
            on_unavailable=_on_unavailable(settings),
            unavailable_seconds=_number(settings, "UNAVAILABLE_TIMEOUT", cls.unavailable_seconds),
            on_challenge=_on_challenge(settings),
            max_hosts=_count(settings, "MAX_HOSTS_PER_DOMAIN", cls.max_hosts),
            max_solves=_count(settings, "MAX_SOLVES", cls.max_solves),
            cookies=_cookie_choice(settings),
            share_proxy=settings.getbool(_PREFIX + "SHARE_PROXY", cls.share_proxy),
            reuse=_reuse(settings),
            success_text=_condition(settings, "SUCCESS_TEXT"),
            success_selector=_condition(settings, "SUCCESS_SELECTOR"),
            screenshot=settings.getbool(_PREFIX + "SCREENSHOT", cls.screenshot),
            detector=settings.get(_PREFIX + "DETECTOR") or None,
        )


def without_login(url: str) -> str:
    """Return the URL as it may be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _service_url(settings: BaseSettings) -> str:
    name = _PREFIX + "URL"
    url = _text(settings, "URL") or _from_environment("URL")
    if not url:
        raise NotConfigured(
            f"set {name} to where the captcha-bypass service is, such as http://127.0.0.1:8191;"
            f" until then challenges are not solved ({_PREFIX}ENABLED = False silences this)"
        )
    try:
        parts = urlsplit(url)
        right = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right:
        shown = url.rpartition("@")[2]  # a login stays out of logs
        raise ValueError(f"{name} must be http://host:port or https://host:port, not {shown!r}")
    return url.rstrip("/")


def _text(settings: BaseSettings, name: str) -> str | None:
    return str(settings.get(_PREFIX + name) or "").strip() or None


def _condition(settings: BaseSettings, name: str) -> str | tuple[str, ...] | None:
    """Return one, or several of which any is enough; a string is one, commas and all."""
    value = settings.get(_PREFIX + name)
    if not isinstance(value, list | tuple):
        return _text(settings, name)
    several = tuple(str(one).strip() for one in value)
    if len(several) > _MOST_ALTERNATIVES or not all(several):
        raise ValueError(
            f"{_PREFIX}{name} must be a text, or at most {_MOST_ALTERNATIVES} that are not blank,"
            f" not {value!r}"
        )
    return several or None


def _from_environment(name: str) -> str | None:
    return os.environ.get(_PREFIX + name, "").strip() or None


def _number(
    settings: BaseSettings, name: str, default: float, *, above: float | None = None
) -> float:
    given = settings.get(_PREFIX + name, default)
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < 1e9 or (above is not None and value <= above):
        least = "of 0 or more" if above is None else f"above {above:g}"
        raise ValueError(f"{_PREFIX}{name} must be a number {least}, not {given!r}")
    return value


def _reuse(settings: BaseSettings) -> bool | float:
    """Return whether, or a number of seconds; 0 and 1 are what they are to all of Scrapy's settings."""
    if str(settings.get(_PREFIX + "REUSE", True)).lower() in {"0", "1", "false", "true"}:
        return settings.getbool(_PREFIX + "REUSE", True)
    return _number(settings, "REUSE", 0.0)


def _count(settings: BaseSettings, name: str, default: int, *, least: int = 1) -> int:
    value = int(_number(settings, name, default))
    if value < least:
        raise ValueError(f"{_PREFIX}{name} must be a whole number of {least} or more, not {value}")
    return value


def _mode(settings: BaseSettings) -> Mode:
    return cast("Mode", _one_of(settings, "MODE", get_args(Mode), Config.mode))


def _on_challenge(settings: BaseSettings) -> OnChallenge | None:
    if settings.get(_PREFIX + "ON_CHALLENGE") is None:
        return None
    return cast("OnChallenge", _one_of(settings, "ON_CHALLENGE", get_args(OnChallenge), ""))


def _on_unavailable(settings: BaseSettings) -> OnUnavailable:
    choices, default = get_args(OnUnavailable), Config.on_unavailable
    return cast("OnUnavailable", _one_of(settings, "ON_UNAVAILABLE", choices, default))


def _one_of(settings: BaseSettings, name: str, choices: tuple[str, ...], default: str) -> object:
    value = settings.get(_PREFIX + name, default)
    if value not in choices:
        raise ValueError(f"{_PREFIX}{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def _cookie_choice(settings: BaseSettings) -> Literal["auto", "all"] | tuple[str, ...]:
    value = settings.get(_PREFIX + "COOKIES", "auto")
    if value == "auto" or value == "all":
        return cast("Literal['auto', 'all']", value)
    names = tuple(str(name) for name in settings.getlist(_PREFIX + "COOKIES"))
    if not names:
        raise ValueError(f"{_PREFIX}COOKIES must be auto, all or a list of names, not {value!r}")
    return names
