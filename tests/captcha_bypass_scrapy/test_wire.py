"""Responses as components close to the wire see them: still compressed."""

from __future__ import annotations

import gzip
import zlib

import pytest
from scrapy import Request
from scrapy.http import HtmlResponse, Response
from scrapy.settings import Settings

from captcha_bypass_scrapy.wire import readable

URL = "http://site.example/"
SETTINGS = Settings()
PAGE = b"<title>Just a moment...</title>" * 50


def response(body: bytes, encoding: str | None) -> Response:
    headers = {"Content-Type": "text/html"}
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    return Response(URL, headers=headers, body=body)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(PAGE)), ("deflate", zlib.compress(PAGE))],
    ids=["gzip", "deflate"],
)
def test_compressed_response_is_read_and_stays_as_it_came(encoding: str, body: bytes) -> None:
    came = response(body, encoding)

    found = readable(came, Request(URL), SETTINGS)

    assert found is not None
    assert found.body == PAGE
    assert b"Content-Encoding" not in found.headers
    assert isinstance(found, HtmlResponse)
    # Scrapy's own middleware decompresses it later.
    assert (came.body, came.headers["Content-Encoding"]) == (body, encoding.encode())


def test_plain_response_is_the_response() -> None:
    came = response(PAGE, None)

    assert readable(came, Request(URL), SETTINGS) is came


def test_encoding_that_scrapy_does_not_know_is_left_to_the_crawl() -> None:
    found = readable(response(PAGE, "aes128gcm"), Request(URL), SETTINGS)

    assert found is not None
    assert found.body == PAGE


@pytest.mark.parametrize(
    "body", [b"no gzip at all", gzip.compress(PAGE, mtime=0)[:10] + b"\xff" * 40]
)
def test_broken_response_cannot_be_read(body: bytes) -> None:
    assert readable(response(body, "gzip"), Request(URL), SETTINGS) is None


def test_response_that_swells_beyond_the_settings_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\x00" * 5_000_000)

    found = readable(response(bomb, "gzip"), Request(URL), Settings({"DOWNLOAD_MAXSIZE": 1000}))

    assert found is None
