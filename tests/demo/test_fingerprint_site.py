"""A clearance of the fingerprint site is of no use to any other client than the one that got it."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

import aiohttp
import pytest

from demo.fingerprint_site import STATS, SiteOptions, serving
from tests.demo.test_challenge_site import challenge_in, solve
from tests.support.certificate import make_certificate

EASY = SiteOptions(work=0.001, puzzles=8)
AGENT = "Mozilla/5.0 (test)"
#: The same headers in another order.
ORDERS = [
    {"User-Agent": AGENT, "Accept": "*/*", "Accept-Language": "en", "Accept-Encoding": "gzip"},
    {"Accept": "*/*", "User-Agent": AGENT, "Accept-Language": "en", "Accept-Encoding": "gzip"},
]


async def clear(session: aiohttp.ClientSession, url: str) -> str:
    """Solve the challenge of a page, and return its cookie."""
    async with session.get(f"{url}/page/1") as answer:
        assert answer.status == 403
        solved = solve(challenge_in(await answer.text()))
    async with session.post(f"{url}/clearance", json=solved) as answer:
        assert answer.status == 204
        return answer.cookies["clearance"].value


async def status(session: aiohttp.ClientSession, url: str, cookie: str) -> int:
    async with session.get(f"{url}/page/2", headers={"Cookie": f"clearance={cookie}"}) as answer:
        challenged = answer.headers.get("cf-mitigated") == "challenge"
        assert challenged is (answer.status == 403)
        return answer.status


def client(headers: dict[str, str], tls: ssl.SSLContext | bool = True) -> aiohttp.ClientSession:
    jar = aiohttp.DummyCookieJar()
    connector = aiohttp.TCPConnector(ssl=tls)
    return aiohttp.ClientSession(headers=headers, cookie_jar=jar, connector=connector)


async def test_clearance_is_bound_to_the_order_of_headers() -> None:
    async with serving(EASY) as (url, app), client(ORDERS[0]) as own, client(ORDERS[1]) as other:
        cookie = await clear(own, url)
        assert await status(own, url, cookie) == 200
        assert await status(other, url, cookie) == 403
        assert app[STATS].rejected == {"/page/2": 1}
        assert await status(own, url, cookie) == 200
        # It can get one of its own.
        assert await status(other, url, await clear(other, url)) == 200


async def test_clearance_is_bound_to_the_client_hello(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    trusting = [certificate.client() for _ in range(2)]
    trusting[1].set_ciphers("ECDHE+AESGCM")
    async with serving(EASY, tls=certificate.server()) as (url, _):
        async with client(ORDERS[0], trusting[0]) as own:
            cookie = await clear(own, url)
            assert await status(own, url, cookie) == 200
        # On a connection of its own, too.
        for context, expected in ((trusting[0], 200), (trusting[1], 403)):
            async with client(ORDERS[0], context) as other:
                assert await status(other, url, cookie) == expected


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_program_serves_until_it_is_told_to_stop(tmp_path: Path, scheme: str) -> None:
    command = ["demo/fingerprint_site.py", "--port", "0", "--work", "0"]
    if scheme == "https":
        command += ["--tls", str(make_certificate(tmp_path).site)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().split()[-1]
    assert url.startswith(f"{scheme}://127.0.0.1:")
    async with client({}, False) as session, session.get(f"{url}/open/1") as answer:
        assert answer.status == 200
    process.terminate()
    assert await process.wait() == 0
