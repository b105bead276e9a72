"""Whether a response is a challenge: by the user's own detector, and by ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from scrapy.utils.misc import load_object

from captcha_bypass import challenges
from captcha_bypass.challenges import Challenge, glance

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from scrapy.http.headers import Headers
    from scrapy.settings import BaseSettings

#: As Scrapy spells the names of headers.
_TELLING = frozenset(name.title().encode() for name in glance.TELLING_HEADERS)
#: A spider's own detector.
SPIDER_METHOD = "captcha_bypass_detect"
#: By the id of a crawl's settings, which live as long as the crawl's middleware does.
_BY_SETTINGS: WeakValueDictionary[int, Detector] = WeakValueDictionary()


class Detector:
    """Asks the user's detector first, then ours.

    The user's takes the response and returns None for "no opinion", False for "a normal page",
    True or a vendor's name for a challenge, or a `captcha_bypass.challenges.Challenge`.

    Args:
        path: Import path of the user's detector, or a callable, or None.
        crawler: The method `captcha_bypass_detect` of its spider comes before `path`. The shell
            has a spider only after its engine, so the method is looked up when it is needed.
    """

    def __init__(
        self, path: str | Callable[[Response], Any] | None, crawler: Crawler | None
    ) -> None:
        self._given: Callable[[Response], Any] | None = load_object(path) if path else None
        self._crawler = crawler
        if crawler is not None:
            _BY_SETTINGS[id(crawler.settings)] = self

    @property
    def own(self) -> list[Callable[[Response], Any]]:
        """The user's detectors, in the order in which they are asked."""
        spider = None if self._crawler is None else self._crawler.spider
        method = getattr(spider, SPIDER_METHOD, None)
        return [ask for ask in (method, self._given) if ask is not None]

    def __call__(self, response: Response) -> Challenge | None:
        """Say what the response is instead of the page; the body must be decompressed."""
        for ask in self.own:
            opinion = ask(response)
            if opinion is False:
                return None
            if opinion is not None:
                return _as_challenge(opinion)
        if plainly_open(response):
            return None
        return challenges.detect(response.status, plain(response.headers), response.body)


def detector_of(settings: BaseSettings) -> Detector:
    """Return the detector of the crawl with these settings, for components that know no crawler."""
    found = _BY_SETTINGS.get(id(settings))
    return found or Detector(settings.get("CAPTCHA_BYPASS_DETECTOR") or None, None)


def plainly_open(response: Response) -> bool:
    """Whether headers and a glance at the body leave no doubt that this is the page itself."""
    headers = response.headers
    return (
        response.status in glance.ORDINARY
        and _TELLING.isdisjoint(headers)
        and not glance.telling_cookies(headers.getlist(b"Set-Cookie"))
        and not glance.marked(headers.getlist(b"Content-Type"), response.body)
    )


def _as_challenge(opinion: object) -> Challenge:
    if isinstance(opinion, Challenge):
        return opinion
    if opinion is True:
        return Challenge("custom", "automatic")
    if isinstance(opinion, str) and opinion:
        return Challenge(opinion, "automatic")
    raise TypeError(
        f"a detector must return None, False, True, a vendor's name or a Challenge, not {opinion!r}"
    )


def plain(headers: Headers) -> dict[str, list[str]]:
    """Return headers as text, every value on its own."""
    return {
        name.decode("latin-1"): [value.decode("latin-1") for value in headers.getlist(name)]
        for name in headers
    }
