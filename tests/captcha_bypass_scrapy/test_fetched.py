"""From a browser's answer to Scrapy's response, and from a failure to Scrapy's exception."""

from __future__ import annotations

import gzip

import pytest
from scrapy import Request
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.http import HtmlResponse, JsonResponse, Response, TextResponse, XmlResponse

from captcha_bypass_scrapy.compat import (
    HOOK_ARGUMENTS,
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
)
from captcha_bypass_scrapy.errors import FetchFailed
from captcha_bypass_scrapy.fetch_client import Fetched
from captcha_bypass_scrapy.fetched import exception_of, response_of
from tests.captcha_bypass_scrapy.engines import crawler_with

PAGE = "http://site.example/page"


def made(
    body: bytes = b"",
    *headers: tuple[str, str],
    status: int = 200,
    decoded: str | None = None,
    url: str = PAGE,
) -> Response:
    return response_of(Fetched(status, list(headers), body, decoded, None), Request(url))


def through_compression(response: Response) -> Response:
    crawler = crawler_with()
    middleware = HttpCompressionMiddleware.from_crawler(crawler)
    found = middleware.process_response(Request(PAGE), response, **HOOK_ARGUMENTS)
    assert isinstance(found, Response)
    return found


@pytest.mark.parametrize(
    ("kind", "body", "url", "cls"),
    [
        ("text/html; charset=utf-8", b"<p>", PAGE, HtmlResponse),
        ("application/json", b"{}", PAGE, JsonResponse),
        ("application/rss+xml", b"<rss/>", PAGE, XmlResponse),
        ("text/plain", b"x", PAGE, TextResponse),
        ("image/png", b"\x89PNG\x01", PAGE, Response),
        ("application/gzip", b"\x1f\x8b\x00", PAGE, Response),
        ("", b"<html><p>", PAGE, HtmlResponse),
        ("", b"\x00\x01", f"{PAGE}.json", JsonResponse),
        ("", b"\x00\x01\xff", PAGE, Response),
    ],
)
def test_class_is_what_scrapy_chooses(
    kind: str, body: bytes, url: str, cls: type[Response]
) -> None:
    headers = [("Content-Type", kind)] if kind else []
    assert type(made(body, *headers, url=url)) is cls


def test_status_headers_bytes_and_url_are_the_sites() -> None:
    response = made(
        b"\x00\xff", ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Latin", "Zo\xeb"), status=404
    )
    assert (response.status, response.body, response.url) == (404, b"\x00\xff", PAGE)
    assert response.headers.getlist("Set-Cookie") == [b"a=1", b"b=2"]
    assert response.headers["X-Latin"] == "Zo\xeb".encode("latin-1")
    assert response.flags == ["captcha-bypass"]


def test_encoding_of_the_page_is_found_as_ever() -> None:
    response = made("Zoë".encode("cp1252"), ("Content-Type", "text/html; charset=cp1252"))
    assert isinstance(response, HtmlResponse)
    assert response.text == "Zoë"


def test_body_that_the_browser_has_decompressed_is_not_decompressed_again() -> None:
    headers = (("Content-Type", "text/html"), ("Content-Encoding", "br"), ("Content-Length", "9"))
    response = through_compression(made(b"<html>page", *headers, decoded="br"))
    assert type(response) is HtmlResponse
    assert response.body == b"<html>page"
    assert "Content-Encoding" not in response.headers


def test_body_that_it_has_not_is_left_to_scrapy() -> None:
    headers = (("Content-Type", "text/html"), ("Content-Encoding", "gzip"))
    response = through_compression(made(gzip.compress(b"<html>page"), *headers))
    assert response.body == b"<html>page"


def test_gz_file_stays_as_it_is() -> None:
    file = gzip.compress(b"<urlset/>")
    response = through_compression(made(file, ("Content-Type", "application/gzip")))
    assert response.body == file


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_keep_their_headers(status: int) -> None:
    response = made(b"", ("ETag", '"x"'), status=status)
    assert (response.status, response.body, response.headers["ETag"]) == (status, b"", b'"x"')


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        ("timeout", DownloadTimeoutError),
        ("dns_error", CannotResolveHostError),
        ("connection_refused", DownloadConnectionRefusedError),
        ("answer_too_large", DownloadCancelledError),
        ("connection_reset", DownloadFailedError),
        ("tls_error", DownloadFailedError),
        ("proxy_error", DownloadFailedError),
        ("browser_crashed", DownloadFailedError),
        ("answer_unreadable", DownloadFailedError),
        ("one that is new", DownloadFailedError),
    ],
)
def test_failures_are_those_of_scrapys_handlers(code: str, cls: type[Exception]) -> None:
    error = exception_of(FetchFailed(code, "it is so"))
    assert type(error) is cls
    assert str(error) == f"{code}: it is so"


@pytest.mark.parametrize(
    ("code", "again"),
    [("timeout", True), ("dns_error", True), ("tls_error", True), ("answer_too_large", False)],
)
def test_retry_middleware_knows_what_to_try_again(code: str, again: bool) -> None:
    crawler = crawler_with()
    retry = RetryMiddleware.from_crawler(crawler)
    request = Request(PAGE)
    found = retry.process_exception(request, exception_of(FetchFailed(code, "")), **HOOK_ARGUMENTS)
    assert (found is not None) == again
