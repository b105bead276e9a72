"""Challenges are told from pages by the start of a body, and readers get all of it all the same."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from backports import zstd

from captcha_bypass.challenges import LONGEST_INTERSTITIAL
from captcha_bypass.client.looking import Look
from tests.support.flaresolverr_service import FakeSessions, serving
from tests.support.http_libraries import KINDS, Library, using
from tests.support.repository import ROOT
from tests.support.scripted_queue import at_once
from tests.support.vendor_pages import POSITIVES, Headers

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: bytes(brotli.compress(body, quality=5)),
    "zstd": zstd.compress,
}
LONG = b"<!doctype html><title>Long</title>" + b"<p>words and words</p>\n" * 20_000


def look(status: int, headers: Headers, body: bytes) -> str | None:
    """Look as adapters do, and return the vendor; no more bytes are taken than are asked for."""
    pairs = [
        (name, value)
        for name, given in headers.items()
        for value in ([given] if isinstance(given, str) else given)
    ]
    looked, taken = Look(status, pairs), b""
    while (wanted := looked.wants(taken)) > len(taken) < len(body):
        taken = body[:wanted]
    found = looked.challenge(taken)
    return None if found is None else found.vendor


@pytest.mark.parametrize("coding", ["identity", *CODINGS])
@pytest.mark.parametrize(("name", "status", "headers", "vendor", "kind"), POSITIVES)
def test_all_challenges_are_told_however_they_are_packed(
    name: str, status: int, headers: Headers, vendor: str, kind: str, coding: str
) -> None:
    body = (ROOT / "tests/fixtures/challenges" / name).read_bytes()
    packed = CODINGS.get(coding, bytes)(body)
    found = look(status, {**headers, "Content-Encoding": coding}, packed)
    assert found == (None if kind == "block" else vendor)


@pytest.mark.parametrize("coding", CODINGS)
def test_what_is_not_packed_as_it_says_is_no_challenge(coding: str) -> None:
    headers = {"Content-Type": "text/html", "Content-Encoding": coding}
    assert look(403, headers, b"<title>just a moment...</title>") is None


@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_that_swells_is_unpacked_no_further_than_is_looked_at(coding: str) -> None:
    looked = Look(403, [("Content-Type", "text/html"), ("Content-Encoding", coding)])
    packed = CODINGS[coding](bytes(50_000_000))[: looked.wants(b"")]
    assert 0 < len(looked._unpacked(packed)) <= LONGEST_INTERSTITIAL + 1


@pytest.mark.parametrize("kind", ["image/png", "application/json", "application/zip", "text/css"])
def test_nothing_is_read_ahead_of_what_is_no_document(kind: str) -> None:
    assert Look(200, [("Content-Type", kind)]).wants(b"") == 0


def test_a_few_kib_tell_an_open_page() -> None:
    looked = Look(200, [("Content-Type", "text/html")])
    assert looked.wants(b"") == 4096
    assert looked.wants(LONG[:4096]) == 0


async def _long(request: web.Request) -> web.StreamResponse:
    """A long page, in the way that the query asks for."""
    response = web.StreamResponse(headers={"Content-Type": "text/html"})
    if coding := request.query.get("coding"):
        response.headers["Content-Encoding"] = coding
    body = CODINGS[coding](LONG) if coding else LONG
    if "chunked" in request.query:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(body)
    await response.prepare(request)
    await response.write(body)
    return response


async def _broken(request: web.Request) -> web.StreamResponse:
    """A page that breaks off, after so many bytes."""
    response = web.StreamResponse(headers={"Content-Type": "text/html", "Content-Length": "99999"})
    await response.prepare(request)
    await response.write(LONG[: int(request.query["after"])])
    assert request.transport is not None
    request.transport.close()
    return response


async def _refusal(request: web.Request) -> web.Response:
    return web.Response(body=LONG, status=403, content_type="text/html")


@pytest.fixture
async def site() -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes([web.get("/long", _long), web.get("/broken", _broken)])
    app.add_routes([web.get("/refusal", _refusal)])
    async with TestServer(app) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(params=KINDS)
async def library(request: pytest.FixtureRequest) -> AsyncIterator[Library]:
    async with (
        serving(at_once, FakeSessions()) as service,
        using(request.param, service.url) as running,
    ):
        yield running


@pytest.mark.parametrize("query", ["", "chunked", "coding=gzip", "coding=gzip&chunked"])
async def test_a_page_that_was_looked_at_is_read_as_ever(
    library: Library, site: str, query: str
) -> None:
    answer = await library.get(f"{site}/long?{query}")
    assert answer.content == LONG
    assert (await library.get(f"{site}/refusal")).content == LONG


@pytest.mark.parametrize("query", ["", "chunked", "coding=gzip"])
async def test_a_page_that_was_looked_at_is_streamed_as_ever(
    library: Library, site: str, query: str
) -> None:
    pieces = await _pieces(library, f"{site}/long?{query}")
    assert b"".join(pieces) == LONG
    assert len(pieces) > 4
    assert await _pieces(library, f"{site}/long?{query}", most=2)  # and left unread


async def _pieces(library: Library, url: str, most: int = 1000) -> list[bytes]:
    """Stream a page, and leave it after some pieces."""
    if "async" in library.kind:
        async with library.client.stream("GET", url) as answer:
            found = []
            async for piece in answer.aiter_bytes(20_000):
                found.append(piece)
                if len(found) == most:
                    break
            return found

    def streamed() -> list[bytes]:
        if library.kind == "requests":
            with library.client.get(url, stream=True) as answer:
                return [p for p, _ in zip(answer.iter_content(20_000), range(most), strict=False)]
        with library.client.stream("GET", url) as answer:
            return [p for p, _ in zip(answer.iter_bytes(20_000), range(most), strict=False)]

    found = await library.run(streamed)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("after", [100, 50_000])
async def test_a_page_that_breaks_off_is_the_librarys_own_error(
    library: Library, site: str, after: int
) -> None:
    names = ("ChunkedEncodingError", "RemoteProtocolError")
    with pytest.raises(Exception, match=r"(?i)incomplete|peer closed|closed") as raised:
        await library.get(f"{site}/broken?after={after}")
    assert type(raised.value).__name__ == names[library.kind != "requests"]


async def test_a_response_has_what_its_users_look_at(library: Library, site: str) -> None:
    answer: Any = await library.get(f"{site}/long")
    assert answer.headers["Content-Length"] == str(len(LONG))
    assert answer.elapsed.total_seconds() > 0
    assert (answer.encoding or "utf-8").lower() in ("utf-8", "iso-8859-1")
    assert (answer.reason if library.kind == "requests" else answer.reason_phrase) == "OK"
    assert str(answer.request.url) == f"{site}/long"


@pytest.mark.parametrize("how", ["read", "left"])
async def test_a_page_gives_up_its_place_in_the_pool(site: str, how: str) -> None:
    """With one connection, and requests that wait for it, the next one would wait for ever."""
    pool = {"pool_maxsize": 1, "pool_block": True}
    async with (
        serving(at_once, FakeSessions()) as service,
        using("requests", service.url, adapter=pool) as library,
    ):
        for _ in range(3):
            await _pieces(library, f"{site}/long?chunked", most=1 if how == "left" else 1000)
