"""Heads of requests: rewritten for whom they go to, everything else as the browser wrote it."""

from __future__ import annotations

import asyncio
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captcha_bypass.egress import heads
from captcha_bypass.egress.heads import Head, read_head
from captcha_bypass.egress.routes import HEAD_BYTES
from tests.support.growth import grows_too_fast


async def read(data: bytes) -> Head | None:
    reader = asyncio.StreamReader(limit=HEAD_BYTES)
    reader.feed_data(data)
    reader.feed_eof()
    return await read_head(reader)


async def parse(data: bytes) -> Head:
    head = await read(data)
    assert head is not None
    return head


LINES = (
    b"Host: Example.com\r\nUser-Agent:  two blanks \r\naccept: */*\r\nX-Odd:\r\n"
    b"X-Latin: \xe9\r\nCookie: a=1; b=2\r\ncookie: c=3\r\n"
)


@pytest.mark.parametrize(
    ("target", "path", "host", "port"),
    [
        (b"http://example.com/a?b=c", b"/a?b=c", "example.com", 80),
        (b"http://example.com", b"/", "example.com", 80),
        (b"http://example.com?q", b"/?q", "example.com", 80),
        (b"http://example.com/a#b", b"/a", "example.com", 80),
        (b"HTTP://EXAMPLE.com:8080//a", b"//a", "example.com", 8080),
        (b"http://[::1]:81/http://b/", b"/http://b/", "::1", 81),
        (b"http://example.com/%7Euser/;p@x:1", b"/%7Euser/;p@x:1", "example.com", 80),
    ],
)
async def test_request_is_rewritten_for_the_site(
    target: bytes, path: bytes, host: str, port: int
) -> None:
    head = await parse(b"GET " + target + b" HTTP/1.1\r\n" + LINES + b"\r\n")
    assert head.destination == (host, port)
    assert not head.is_connect
    assert head.for_site() == b"GET " + path + b" HTTP/1.1\r\n" + LINES + b"\r\n"
    assert head.body_bytes == 0


async def test_another_proxy_gets_the_whole_url_and_its_login() -> None:
    head = await parse(b"GET http://example.com/a HTTP/1.1\r\n" + LINES + b"\r\n")
    login = b"Proxy-Authorization: Basic eA==\r\n"
    expected = b"GET http://example.com/a HTTP/1.1\r\n" + LINES
    assert head.for_proxy(login) == expected + login + b"\r\n"
    assert head.for_proxy(b"") == expected + b"\r\n"


async def test_lines_for_the_guard_itself_go_to_nobody() -> None:
    mine = b"Proxy-Connection: keep-alive\r\nPROXY-AUTHORIZATION: Basic secret\r\n"
    head = await parse(b"GET http://example.com/ HTTP/1.1\r\n" + mine + LINES + b"\r\n")
    assert head.for_site() == b"GET / HTTP/1.1\r\n" + LINES + b"\r\n"
    assert b"secret" not in head.for_proxy(b"")


async def test_length_of_a_body_is_known() -> None:
    head = await parse(b"POST http://a/ HTTP/1.1\r\ncontent-LENGTH:  17 \r\n\r\nbody")
    assert head.body_bytes == 17


async def test_what_follows_a_head_is_left_to_read() -> None:
    reader = asyncio.StreamReader(limit=HEAD_BYTES)
    reader.feed_data(b"GET http://a/ HTTP/1.1\r\n\r\nGET http://b/ HTTP/1.1\r\n\r\nrest")
    reader.feed_eof()
    first, second = await read_head(reader), await read_head(reader)
    assert first is not None
    assert second is not None
    assert (first.destination.host, second.destination.host) == ("a", "b")
    assert await reader.read() == b"rest"


async def test_tunnel_names_where_it_ends() -> None:
    head = await parse(b"CONNECT Example.com:443 HTTP/1.1\r\nHost: other:443\r\n\r\n")
    assert head.is_connect
    assert head.destination == ("example.com", 443)


@pytest.mark.parametrize("sent", [b"", b"GET http://a/ HTTP/1.1\r\n", b"GET http://a/ HT"])
async def test_browser_that_hangs_up_asks_for_nothing(sent: bytes) -> None:
    assert await read(sent) is None


REFUSED = {
    "HTTP/1.0": b"GET http://a/ HTTP/1.0\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "SOCKS": b"\x05\x01\x00\r\n\r\n",
    "lower case version": b"GET http://a/ http/1.1\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\n\r\n",
    "blanks in the target": b"GET http://a/b c HTTP/1.1\r\n\r\n",
    "two blanks": b"GET  http://a/ HTTP/1.1\r\n\r\n",
    "blank at the end": b"GET http://a/ HTTP/1.1 \r\n\r\n",
    "method that is none": b"G(T http://a/ HTTP/1.1\r\n\r\n",
    "path only": b"GET /path HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "https": b"GET https://a/ HTTP/1.1\r\n\r\n",
    "ftp": b"GET ftp://a/ HTTP/1.1\r\n\r\n",
    "file": b"GET file:///etc/passwd HTTP/1.1\r\n\r\n",
    "no host": b"GET http:///a HTTP/1.1\r\n\r\n",
    "port 0": b"GET http://a:0/ HTTP/1.1\r\n\r\n",
    "port too high": b"GET http://a:65536/ HTTP/1.1\r\n\r\n",
    "no number as port": b"GET http://a:x/ HTTP/1.1\r\n\r\n",
    "empty port": b"GET http://a:/ HTTP/1.1\r\n\r\n",
    "user in the authority": b"GET http://u@a/ HTTP/1.1\r\n\r\n",
    "login in the authority": b"GET http://u:p@a/ HTTP/1.1\r\n\r\n",
    "backslash as path": b"GET http://a\\@b/ HTTP/1.1\r\n\r\n",
    "NUL in the host": b"GET http://localhost\x00.a.com/ HTTP/1.1\r\n\r\n",
    "host not in ASCII": b"GET http://\xc3\xa4/ HTTP/1.1\r\n\r\n",
    "CONNECT without port": b"CONNECT a HTTP/1.1\r\n\r\n",
    "CONNECT with scheme": b"CONNECT http://a:80 HTTP/1.1\r\n\r\n",
    "CONNECT with login": b"CONNECT u:p@a:80 HTTP/1.1\r\n\r\n",
    "IPv6 without brackets": b"CONNECT ::1:80 HTTP/1.1\r\n\r\n",
    "blank line first": b"\r\n\r\nGET http://a/ HTTP/1.1\r\n\r\n",
}
HEADERS_REFUSED = {
    "chunked": b"Transfer-Encoding: chunked",
    "chunked beside a length": b"Content-Length: 3\r\ntransfer-encoding: chunked",
    "length below zero": b"Content-Length: -1",
    "length with a sign": b"Content-Length: +1",
    "length with an underscore": b"Content-Length: 1_0",
    "length that is none": b"Content-Length: x",
    "empty length": b"Content-Length:",
    "two lengths": b"Content-Length: 1\r\nContent-Length: 2",
    "list of lengths": b"Content-Length: 1, 1",
    "blank before the colon": b"Content-Length : 5",
    "folded line": b"X-A: 1\r\n Content-Length: 5",
    "line feed alone": b"X-A: 1\nContent-Length: 5",
    "carriage return alone": b"X-A: 1\rContent-Length: 5",
    "NUL": b"X-A: \x00",
    "no colon": b"Nothing",
    "no name": b": value",
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_browsers_do_not_send_to_a_proxy_is_refused(case: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        await read(REFUSED[case])


@pytest.mark.parametrize("case", HEADERS_REFUSED)
async def test_lines_that_two_readers_could_read_in_two_ways_are_refused(case: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        await read(b"POST http://a/ HTTP/1.1\r\n" + HEADERS_REFUSED[case] + b"\r\n\r\n")


async def test_head_is_taken_up_to_its_limit_and_no_further() -> None:
    def of_size(size: int) -> bytes:
        return b"GET http://a/ HTTP/1.1\r\nX: ".ljust(size - 4, b"x") + b"\r\n\r\n"

    assert len((await parse(of_size(HEAD_BYTES))).lines) == 1
    with pytest.raises(ValueError, match="too long"):
        await read(of_size(HEAD_BYTES + 100))


async def test_head_that_never_ends_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        await read(b"x" * (HEAD_BYTES + 100))


TOKEN = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1)
VALUE = st.binary().map(lambda raw: raw.translate(None, b"\r\n\x00"))
OWN = ("proxy-connection", "proxy-authorization", "transfer-encoding", "content-length")
FIELDS = st.lists(st.tuples(TOKEN.filter(lambda name: name.lower() not in OWN), VALUE))
PATH = st.text(string.ascii_letters + string.digits + "/?&=%.~;:@!$'()*+,[]|", max_size=50)


@given(fields=FIELDS, path=PATH, method=TOKEN.filter(lambda name: name != "CONNECT"))
async def test_rewritten_head_says_what_the_browser_said(
    fields: list[tuple[str, bytes]], path: str, method: str
) -> None:
    lines = [name.encode() + b":" + value for name, value in fields]
    target = f"http://example.com:81/{path}".encode()
    first = method.encode() + b" " + target + b" HTTP/1.1\r\n"
    sent = first + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    head = await parse(sent)
    assert head.lines == lines
    assert head.for_proxy(b"") == sent
    rewritten, *rest = head.for_site()[:-4].split(b"\r\n")
    assert rewritten == f"{method} /{path} HTTP/1.1".encode()
    assert rest == lines
    again = await parse(b"GET http://example.com:81" + head.for_site().split(b" ", 1)[1])
    assert (again.path, again.lines, again.destination) == (head.path, lines, head.destination)


@pytest.mark.parametrize("unit", ["a", "a ", ":", "a:", "http://", "/", "#", "-", "1", "\t", "é"])
@pytest.mark.parametrize("start", ["", "GET ", "GET http://", "GET http://a", "X: "])
def test_time_for_a_line_grows_with_its_length(start: str, unit: str) -> None:
    def read_all(text: str) -> None:
        line = text.encode("latin-1")
        for pattern in (heads._FIRST_LINE, heads._LINE, heads._ABSOLUTE):
            pattern.fullmatch(line)

    for end in ("", "\0", " HTTP/1.1"):
        assert not grows_too_fast(read_all, unit, HEAD_BYTES // 8, start, end)
