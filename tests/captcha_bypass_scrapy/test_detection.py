"""What is looked at to tell an open response from a challenge."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, SupportsIndex

import pytest
from scrapy import Spider
from scrapy.http import HtmlResponse, Response
from scrapy.settings import Settings
from scrapy.utils.test import get_crawler

from captcha_bypass import challenges
from captcha_bypass.challenges import glance
from captcha_bypass_scrapy.detection import Detector, detector_of, plain, plainly_open
from tests.support.repository import CHALLENGES
from tests.support.vendor_pages import HEADER_VERDICTS, HTML, POSITIVES

if TYPE_CHECKING:
    from tests.captcha_bypass.challenges.test_challenges import Headers

URL = "http://site.example/"
PAGE = b"<!DOCTYPE html><html><body>" + b'<a href="/a">a</a><p>text</p>' * 40_000


class Watched(bytes):
    """A body that notes how far it was read."""

    read: list[int]

    def __getitem__(self, key: SupportsIndex | slice[Any, Any, Any]) -> Any:  # noqa: ANN401
        if isinstance(key, slice):
            self.read.append(len(self) if key.stop is None else key.stop)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.read.append(len(self))
        return super().__contains__(key)  # type: ignore[operator]


def response(status: int, headers: Headers, body: bytes) -> Response:
    given: dict[str, Any] = dict(headers)
    return HtmlResponse(URL, status=status, headers=given, body=body)


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("size", [100, 3_000, 60_000, 1_000_000])
@pytest.mark.parametrize(
    ("headers", "most"),
    [
        ({**HTML, "Server": "cloudflare", "CF-Ray": "8f0c-LHR", "Set-Cookie": "a=b"}, 4096),
        ({"X-Powered-By": "x"}, 4096),
        ({"Content-Type": "application/json"}, 0),
        ({"Content-Type": "image/png"}, 0),
    ],
)
def test_open_response_is_read_a_little_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, status: int, size: int, headers: Headers, most: int
) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("all marks were looked for")

    monkeypatch.setattr(challenges, "detect", asked)
    body = Watched(PAGE[:size])
    body.read = []

    assert Detector(None, None)(response(status, headers, body)) is None
    assert max(body.read, default=0) <= most


@pytest.mark.parametrize(
    ("name", "status", "headers"),
    [row[:3] for row in POSITIVES if row[1] in glance.ORDINARY],
)
def test_challenge_with_an_ordinary_status_leaves_doubt(
    name: str, status: int, headers: Headers
) -> None:
    assert not plainly_open(response(status, headers, (CHALLENGES / name).read_bytes()))


@pytest.mark.parametrize(("status", "headers"), [row[:2] for row in HEADER_VERDICTS])
def test_header_of_a_challenge_leaves_doubt(status: int, headers: Headers) -> None:
    assert not plainly_open(response(status, headers, b""))


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Iinfo": "1-2-3 NNNN"},
        {"X-CDN": "Imperva"},
        {"X-Sucuri-ID": "19002"},
        {"Set-Cookie": ["a=b", "visid_incap_1=x"]},
        {"Set-Cookie": "acw_tc=x"},
    ],
)
def test_vendors_who_challenge_with_status_200_leave_doubt(headers: Headers) -> None:
    late = b" " * 10_000 + b'<iframe src="/_Incapsula_Resource?x"></iframe>'
    found = Detector(None, None)(response(200, {**HTML, **headers}, late))

    assert found == challenges.Challenge("imperva", "automatic")


@pytest.mark.parametrize("mark", [b"<script>window._cf_chl_opt = {}</script>"])
def test_mark_may_come_after_some_kib_of_styles(mark: bytes) -> None:
    body = b"<style>" + b"a" * 3_900 + b"</style>" + mark

    assert Detector(None, None)(response(200, HTML, body)) is not None


class Shop(Spider):
    name = "shop"

    def captcha_bypass_detect(self, response: Response) -> str | None:
        return "homemade" if b"prove it" in response.body else None


def test_spider_that_comes_later_is_asked_too() -> None:
    """The shell makes its engine, and so the middleware, before its spider."""
    crawler = get_crawler(Shop)
    detect = Detector(None, crawler)
    challenge = response(200, HTML, b"prove it")

    assert detect(challenge) is None
    crawler.spider = Shop()

    assert detect(challenge) == challenges.Challenge("homemade", "automatic")
    assert detector_of(crawler.settings) is detect


# The user's own opinion


def homemade(response: Response) -> object:
    """A detector that is found by its path; a marked page says what it returns."""
    return {
        b"none": None,
        b"false": False,
        b"true": True,
        b"name": "shop",
        b"challenge": challenges.Challenge("shop", "human"),
        b"block": challenges.Challenge("shop", "block"),
    }[response.body]


PATH = f"{__name__}.homemade"
SOLVABLE = challenges.Challenge("custom", "automatic")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"none", None),
        (b"false", None),
        (b"true", SOLVABLE),
        (b"name", challenges.Challenge("shop", "automatic")),
        (b"challenge", challenges.Challenge("shop", "human")),
        (b"block", challenges.Challenge("shop", "block")),
    ],
)
@pytest.mark.parametrize("given", [PATH, homemade], ids=["path", "callable"])
def test_own_detector_says_what_it_likes(
    given: Any,  # noqa: ANN401 - a path or a callable
    body: bytes,
    found: challenges.Challenge | None,
) -> None:
    assert Detector(given, None)(response(200, HTML, body)) == found


CHALLENGE: Headers = {**HTML, "cf-mitigated": "challenge"}


def test_own_detector_without_an_opinion_leaves_it_to_ours() -> None:
    detect = Detector(homemade, None)

    assert detect(response(403, CHALLENGE, b"none")) == challenges.Challenge(
        "cloudflare", "automatic"
    )
    assert detect(response(403, CHALLENGE, b"false")) is None


@pytest.mark.parametrize("opinion", ["", 5, 0, [], b"shop", object], ids=repr)
def test_opinion_that_is_none_of_these_is_the_detectors_mistake(opinion: object) -> None:
    def odd(response: Response) -> object:
        return opinion

    with pytest.raises(TypeError, match="must return None, False, True, a vendor's name or a"):
        Detector(odd, None)(response(200, HTML, b""))


def test_error_of_a_detector_is_its_own() -> None:
    def broken(response: Response) -> object:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Detector(broken, None)(response(200, HTML, b""))


def test_spiders_detector_comes_before_the_settings() -> None:
    crawler = get_crawler(Shop)
    crawler.spider = Shop()
    detect = Detector(homemade, crawler)

    assert detect(response(200, HTML, b"prove it")) == challenges.Challenge("homemade", "automatic")
    assert detect(response(200, HTML, b"true")) == SOLVABLE  # it had no opinion
    assert len(detect.own) == 2


def test_detector_that_is_not_there_is_told_at_the_start() -> None:
    with pytest.raises(NameError, match="no_such_thing"):
        Detector(f"{__name__}.no_such_thing", None)


def test_component_without_a_crawler_finds_the_crawls_detector_by_its_settings() -> None:
    crawler = get_crawler(Shop)
    detect = Detector(homemade, crawler)

    assert detector_of(crawler.settings) is detect
    del detect
    gc.collect()
    # A crawl that is over leaves nothing behind for the next that gets the same place in memory.
    assert detector_of(crawler.settings).own == []


def test_component_of_a_crawl_without_the_middleware_goes_by_the_settings() -> None:
    settings = Settings({"CAPTCHA_BYPASS_DETECTOR": PATH})

    assert detector_of(settings)(response(200, HTML, b"true")) == SOLVABLE
    assert detector_of(Settings())(response(200, HTML, b"true")) is None


# Headers


def test_every_value_of_a_header_is_read_on_its_own() -> None:
    given: Any = {"Set-Cookie": [b"a=1", b"b=\xe9"], "Server": "x"}
    found = HtmlResponse(URL, headers=given)

    assert plain(found.headers) == {"Set-Cookie": ["a=1", "b=\xe9"], "Server": ["x"]}


@pytest.mark.parametrize("value", [b"\xff\xfe", b"", b"\x00"])
def test_bytes_that_are_no_text_are_no_error(value: bytes) -> None:
    headers: Any = {b"Server": value, b"Content-Type": value, b"Set-Cookie": [value]}
    found = HtmlResponse(URL, status=200, headers=headers, body=value)

    assert Detector(None, None)(found) is None
