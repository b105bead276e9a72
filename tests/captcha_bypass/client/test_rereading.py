"""Bodies of urllib3 that were read ahead, or that the browser got."""

from __future__ import annotations

import io

import pytest
from urllib3 import HTTPResponse

from captcha_bypass.client import FetchResult
from captcha_bypass.client.rereading import ReadAhead, response_of

BODY = bytes(range(256)) * 40


def raw(body: bytes = BODY) -> HTTPResponse:
    headers = {"Content-Length": str(len(body))}
    return HTTPResponse(io.BytesIO(body), headers, 200, preload_content=False)


@pytest.mark.parametrize("amounts", [[], [1], [100, 7], [20_000, 1], [20_000, 1, 1]])
@pytest.mark.parametrize("size", [None, 1, 999, 50_000])
def test_all_bytes_are_there_once_and_in_order(amounts: list[int], size: int | None) -> None:
    start = ReadAhead(raw())
    for amount in amounts:
        start.ahead(amount)
    assert start.bytes == BODY[: len(start.bytes)]
    response = start.response("GET")
    read = response.read() if size is None else b"".join(response.stream(size))
    assert read == BODY


def test_what_is_kept_needs_no_connection_and_may_be_cut() -> None:
    source = raw()
    start = ReadAhead(source)
    start.keep(1000)
    assert source.closed
    response = start.response("GET")
    assert response.read() == BODY[:1000]
    assert "Content-Length" not in response.headers


def test_a_browsers_answer_is_what_the_site_has_sent() -> None:
    packed = (("Content-Encoding", "gzip"), ("Content-Length", "7"))
    headers = (*packed, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Name", "caf\xe9"))
    found = FetchResult(203, "http://site.test/", headers, BODY, "gzip", None, "agent", 0.1)
    response = response_of(found, "GET")
    assert (response.status, response.reason) == (203, "Non-Authoritative Information")
    assert response.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert response.headers["X-Name"] == "caf\xe9"
    assert "Content-Encoding" not in response.headers
    assert response.read() == BODY
