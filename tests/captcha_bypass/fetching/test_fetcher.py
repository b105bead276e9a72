"""Fetches through a page of the real Firefox: what the site sees, and what comes back, byte for byte."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import zlib
from base64 import b64encode
from typing import Any

import pytest

from captcha_bypass.errors import InvalidRequest, TaskError
from captcha_bypass.fetching.border import PART
from captcha_bypass.fetching.fetcher import MAX_AT_ONCE, Fetcher
from captcha_bypass.fetching.messages import (
    Answer,
    AnswerTooLarge,
    AnswerUnreadable,
    Request,
)
from tests.support.raw_site import Handler, RawSite, Seen, answer
from tests.support.service import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

MIB = 2**20
#: `text`, compressed.
BROTLI = bytes.fromhex("8b01807465787403")


async def get(fetcher: Fetcher, site: RawSite, path: str, **more: Any) -> Answer:  # noqa: ANN401 - of Request
    request = Request(site.url(path), **more)
    return await fetcher.fetch(request, timeout=60, max_bytes=16 * MIB)


def noise(size: int) -> bytes:
    return hashlib.shake_128(str(size).encode()).digest(size)


async def test_site_hears_nothing_of_the_document_that_fetches(
    site: RawSite, fetcher: Fetcher
) -> None:
    site.answers["/data"] = answer(body=b"data")
    assert (await get(fetcher, site, "/data")).body == b"data"
    await asyncio.sleep(0.5)  # in which an icon would have been asked for
    assert [seen.path for seen in site.seen] == ["/data"]


async def test_headers_come_in_order_with_each_cookie_by_itself(
    site: RawSite, fetcher: Fetcher
) -> None:
    sent = [
        ("X-B", "1"),
        ("Set-Cookie", "a=1; Path=/"),
        ("x-lower", "two  words"),
        ("Set-Cookie", "b=2; HttpOnly, really; Path=/"),
        ("X-Empty", ""),
        ("Link", "</a>; rel=preload"),
        ("Link", "</b>"),
        ("WWW-Authenticate", "Basic realm=x"),
        ("X-Latin", "caf\xe9"),
        ("X-Utf", "caf\xc3\xa9"),
    ]
    site.answers["/h"] = answer(headers=sent)
    assert list((await get(fetcher, site, "/h")).headers) == [
        ("X-B", "1"),
        ("x-lower", "two  words"),
        ("Set-Cookie", "a=1; Path=/"),
        ("Set-Cookie", "b=2; HttpOnly, really; Path=/"),
        ("X-Empty", ""),
        ("Link", "</a>; rel=preload, </b>"),
        ("WWW-Authenticate", "Basic realm=x"),
        ("X-Latin", "caf\xe9"),
        ("X-Utf", "caf\xc3\xa9"),
        ("Content-Length", "0"),
    ]
    site.answers["/then"] = answer()
    await get(fetcher, site, "/then")
    assert site.last("/then").header("Cookie") == "a=1; b=2"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("200 OK", b""),
        ("204 No Content", b""),
        ("206 Partial Content", b"part"),
        ("300 Multiple Choices", b"choices"),
        ("304 Not Modified", b""),
        ("401 Unauthorized", b"login"),
        ("404 Not Found", b"none"),
        ("451 Legal", b"law"),
        ("503 Busy", b"later"),
        ("599 Odd", b"odd"),
        ("999 Odder", b"odder"),
    ],
)
async def test_any_status_comes_with_its_body(
    site: RawSite, fetcher: Fetcher, status: str, body: bytes
) -> None:
    login = [("WWW-Authenticate", 'Basic realm="x"')]
    bare = status.startswith(("204", "304"))
    site.answers["/s"] = answer(status, login, body, length=-1 if bare else None)
    got = await get(fetcher, site, "/s")
    assert (got.status, got.body, got.url) == (int(status[:3]), body, site.url("/s"))
    assert ("WWW-Authenticate", 'Basic realm="x"') in got.headers
    assert len(site.requests("/s")) == 1


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
@pytest.mark.parametrize("target", ["/next?a=1#b", "http://elsewhere.example/", "ftp://x/"])
async def test_redirect_is_the_answer_and_is_not_followed(
    site: RawSite, fetcher: Fetcher, status: str, target: str
) -> None:
    headers = [("Location", target), ("Set-Cookie", "r=1"), ("Set-Cookie", "s=2")]
    site.answers["/r"] = answer(f"{status} Moved", headers, b"see there")
    got = await get(fetcher, site, "/r", method="POST", body=b"form")
    assert got.status == int(status)
    assert list(got.headers) == [*headers, ("Content-Length", "9")]
    assert got.body == b""
    assert [seen.path for seen in site.seen] == ["/r"]


async def test_conditional_request_gets_its_304(site: RawSite, fetcher: Fetcher) -> None:
    site.answers["/c"] = answer(headers=[("ETag", '"1"'), ("Cache-Control", "max-age=999")])
    await get(fetcher, site, "/c")
    site.answers["/c"] = answer("304 Not Modified", [("ETag", '"1"')], length=-1)
    got = await get(fetcher, site, "/c", headers=(("If-None-Match", '"1"'),))
    assert (got.status, got.body) == (304, b"")
    assert site.last("/c").header("If-None-Match") == '"1"'


async def test_site_answers_each_time_whatever_the_browser_may_keep(
    site: RawSite, fetcher: Fetcher
) -> None:
    for n in range(3):
        site.answers["/k"] = answer(headers=[("Cache-Control", "max-age=999")], body=b"%d" % n)
        assert (await get(fetcher, site, "/k")).body == b"%d" % n


async def test_head_has_the_headers_of_a_body_that_does_not_come(
    site: RawSite, fetcher: Fetcher
) -> None:
    headers = [("Content-Encoding", "gzip")]
    site.answers["/big"] = answer(headers=headers, length=99 * MIB)
    got = await get(fetcher, site, "/big", method="HEAD")
    assert (got.status, got.body, got.decoded) == (200, b"", None)
    assert list(got.headers) == [*headers, ("Content-Length", str(99 * MIB))]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 255, 10_240, PART - 1, PART, PART + 1, 10 * MIB])
async def test_bytes_come_as_they_were_sent_in_both_directions(
    site: RawSite, fetcher: Fetcher, size: int
) -> None:
    site.answers["/bytes"] = answer(body=noise(size))
    posted = noise(size)[::-1]
    got = await get(fetcher, site, "/bytes", method="POST", body=posted)
    assert got.body == noise(size)
    seen = site.last("/bytes")
    assert seen.body == posted
    assert (seen.header("Content-Type"), seen.header("Content-Length")) == (None, str(size))


async def test_no_body_is_not_an_empty_one(site: RawSite, fetcher: Fetcher) -> None:
    site.answers["/n"] = answer()
    await get(fetcher, site, "/n", method="DELETE")
    assert site.last("/n").header("Content-Length") is None
    await get(fetcher, site, "/n", method="DELETE", body=b"")
    assert site.last("/n").header("Content-Length") == "0"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_any_method_is_sent(site: RawSite, fetcher: Fetcher, method: str) -> None:
    site.answers["/m"] = answer(body=b"done")
    assert (await get(fetcher, site, "/m", method=method)).body == b"done"
    assert [seen.line for seen in site.seen] == [f"{method} /m HTTP/1.1"]


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"text", mtime=0)),
        ("x-gzip", gzip.compress(b"text", mtime=0)),
        ("deflate", zlib.compress(b"text")),
        ("br", BROTLI),
        ("gzip, gzip", gzip.compress(gzip.compress(b"text", mtime=0), mtime=0)),
    ],
)
async def test_compressed_answer_comes_decoded_and_says_so(
    site: RawSite, fetcher: Fetcher, encoding: str, packed: bytes
) -> None:
    headers = [("Content-Encoding", encoding), ("Content-Type", "application/x-gzip")]
    site.answers["/z"] = answer(headers=headers, body=packed)
    got = await get(fetcher, site, "/z")
    assert (got.body, got.decoded) == (b"text", encoding)
    assert ("Content-Encoding", encoding) in got.headers


@pytest.mark.parametrize("encoding", ["identity", "compress", "new"])
async def test_encoding_that_the_browser_does_not_know_stays_as_it_is(
    site: RawSite, fetcher: Fetcher, encoding: str
) -> None:
    site.answers["/z"] = answer(headers=[("Content-Encoding", encoding)], body=b"\x1f\x9d raw")
    got = await get(fetcher, site, "/z")
    assert (got.body, got.decoded) == (b"\x1f\x9d raw", None)


async def test_answer_that_is_not_compressed_as_it_says_is_an_error(
    site: RawSite, fetcher: Fetcher
) -> None:
    site.answers["/z"] = answer(headers=[("Content-Encoding", "gzip")], body=b"plain text")
    with pytest.raises(AnswerUnreadable):
        await get(fetcher, site, "/z")


async def test_request_headers_are_sent_as_given_and_no_others_than_a_pages(
    site: RawSite, fetcher: Fetcher
) -> None:
    given = (
        ("X-Token", "caf\xe9"),
        ("x-lower", "1"),
        ("Accept", "application/json"),
        ("Authorization", "Bearer 1"),
        ("Content-Type", "application/octet-stream"),
        ("Referer", site.url("/from?here=1#part")),
    )
    site.answers["/p"] = answer()
    await get(fetcher, site, "/p", method="POST", headers=given, body=b"\x00")
    seen = site.last("/p")
    assert set(given[:5]) <= set(seen.headers)
    assert seen.header("Referer") == site.url("/from?here=1")
    assert seen.header("Origin") == site.origin
    await get(fetcher, site, "/p")
    plain = site.last("/p")
    assert plain.header("Referer") is None
    assert [name for name, _ in plain.headers] == [
        *("Host", "User-Agent", "Accept", "Accept-Language", "Accept-Encoding", "Connection"),
        *("Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Priority"),
        *("Pragma", "Cache-Control"),
    ]


async def test_what_a_page_cannot_send_is_refused_by_name_and_not_sent(
    site: RawSite, fetcher: Fetcher
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await get(
            fetcher,
            site,
            "/p",
            headers=(("Cookie", "a=1"), ("sec-x", "1"), ("X-Ok", "1")),
            body=b"x",
        )
    assert [item.field for item in refused.value.fields] == [
        "body",
        "headers.Cookie",
        "headers.sec-x",
    ]
    assert site.seen == []


async def test_same_address_at_once_gets_each_its_own_answer(
    site: RawSite, fetcher: Fetcher
) -> None:
    async def echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
        number = int(seen.body)
        await asyncio.sleep(number * 37 % 60 / 600)
        headers = [("Set-Cookie", f"n={number}; Path=/never")]
        writer.write(answer(headers=headers, body=seen.body))

    site.answers["/echo"] = echo

    async def one(number: int) -> None:
        got = await get(fetcher, site, "/echo", method="POST", body=b"%d" % number)
        assert got.body == b"%d" % number
        assert ("Set-Cookie", f"n={number}; Path=/never") in got.headers

    await asyncio.gather(*(one(number) for number in range(60)))


async def test_no_more_requests_at_once_than_a_browser_sends(
    site: RawSite, fetcher: Fetcher
) -> None:
    running = most = 0
    full = asyncio.Event()

    async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == MAX_AT_ONCE:
            full.set()
        await full.wait()  # however long it takes until as many are here as may
        await asyncio.sleep(0.1)  # in which one too many would come
        running -= 1
        writer.write(answer())

    site.answers["/slow"] = slow
    await asyncio.gather(*(get(fetcher, site, f"/slow?{n}") for n in range(20)))
    assert most == MAX_AT_ONCE


async def test_broken_off_answer_is_an_error_and_the_next_fetch_works(
    site: RawSite, fetcher: Fetcher
) -> None:
    site.answers["/short"] = answer(headers=[("Connection", "close")], body=b"short", length=100)

    async def cut(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
        await writer.drain()
        writer.close()

    site.answers["/short"] = cut
    site.answers["/fine"] = answer(body=b"fine")
    with pytest.raises(TaskError) as broken:
        await get(fetcher, site, "/short")
    assert broken.value.code == "connection_reset"
    assert (await get(fetcher, site, "/fine")).body == b"fine"


async def test_body_of_base64_is_not_taken_for_anything_else(
    site: RawSite, fetcher: Fetcher
) -> None:
    tricky = b64encode(noise(999)) + b"\n{}\n\x00,data:"
    site.answers["/t"] = answer(body=tricky)
    assert (await get(fetcher, site, "/t")).body == tricky


@pytest.mark.parametrize("declared", [True, False])
async def test_answer_over_the_limit_ends_at_once(
    site: RawSite, fetcher: Fetcher, declared: bool
) -> None:
    sent = 0

    async def endless(seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        head = answer(length=50 * MIB if declared else -1)
        writer.write(head)
        while sent < 50 * MIB:
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    site.answers["/endless"] = endless
    with pytest.raises(AnswerTooLarge):
        await fetcher.fetch(Request(site.url("/endless")), timeout=20, max_bytes=MIB)
    # The limit, and what connections hold on the way.
    assert sent < 24 * MIB
    assert await eventually(lambda: site.hung_up != [], 2)


async def test_limit_counts_decoded_bytes(site: RawSite, fetcher: Fetcher) -> None:
    bomb = gzip.compress(bytes(40 * MIB))
    site.answers["/bomb"] = answer(headers=[("Content-Encoding", "gzip")], body=bomb)
    with pytest.raises(AnswerTooLarge):
        await fetcher.fetch(Request(site.url("/bomb")), timeout=20, max_bytes=MIB)
    exact = gzip.compress(bytes(MIB))
    site.answers["/exact"] = answer(headers=[("Content-Encoding", "gzip")], body=exact)
    got = await fetcher.fetch(Request(site.url("/exact")), timeout=20, max_bytes=MIB)
    assert len(got.body) == MIB


async def _silent(seen: Seen, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def _dripping(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(length=1000))
    for _ in range(1000):
        writer.write(b"x")
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("answers", [_silent, _dripping])
@pytest.mark.parametrize("by", ["cancel", "timeout"])
async def test_given_up_request_is_gone_from_the_site_within_two_seconds(
    site: RawSite, fetcher: Fetcher, answers: Handler, by: str
) -> None:
    site.answers["/slow"] = answers
    site.answers["/fine"] = answer(body=b"fine")
    # By then it has reached the site, on a machine that is busy, too.
    timeout = 2.0 if by == "timeout" else 30
    request = Request(site.url("/slow"))
    fetch = asyncio.ensure_future(fetcher.fetch(request, timeout=timeout, max_bytes=MIB))
    assert await eventually(lambda: site.seen != [], 10)
    if by == "cancel":
        fetch.cancel()
    with pytest.raises((asyncio.CancelledError, TimeoutError)):
        await fetch
    assert await eventually(lambda: site.hung_up != [], 2)
    assert (await get(fetcher, site, "/fine")).body == b"fine"
    # And no call is left that waits for it.
    assert await eventually(lambda: not fetcher._border.calls, 2)
