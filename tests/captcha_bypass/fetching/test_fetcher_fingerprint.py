"""Where a clearance fits its browser alone, fetches through that browser are the ones that pass."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import BrowserContext

from captcha_bypass.fetching.fetcher import Fetcher
from captcha_bypass.fetching.messages import Request
from demo.challenge_pages import SUCCESS_TEXT
from demo.fingerprint_site import STATS, SiteOptions, serving
from tests.captcha_bypass.fetching.conftest import OpenContext, Running

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

Site = tuple[str, web.Application]


@pytest_asyncio.fixture(loop_scope="package", params=["http", "https"])
async def bound(request: pytest.FixtureRequest, firefox: Running) -> AsyncIterator[Site]:
    context = firefox.certificate.server() if request.param == "https" else None
    async with serving(SiteOptions(work=0.05), tls=context) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="package")
async def cleared(bound: Site, open_context: OpenContext) -> BrowserContext:
    """A context in which a page has passed the challenge."""
    context = await open_context(bound[0])
    page = await context.new_page()
    await page.goto(f"{bound[0]}/page/1")
    await page.get_by_text(SUCCESS_TEXT).wait_for(timeout=20_000)
    await page.close()
    return context


async def headers_of(context: BrowserContext) -> dict[str, str]:
    """What another client must send to look like the browser: its cookies and its User-Agent."""
    cookies = SimpleCookie({c.get("name", ""): c.get("value", "") for c in await context.cookies()})
    page = await context.new_page()
    agent = await page.evaluate("navigator.userAgent")
    return {"User-Agent": agent, "Cookie": cookies.output(header="", sep=";").strip()}


async def curl(url: str, headers: dict[str, str]) -> str:
    """Return the status that curl gets, with nothing but these headers, in this order."""
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "--http1.1", *given, url),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return out.decode()


async def test_fetches_pass_where_other_clients_with_the_same_cookies_do_not(
    firefox: Running, bound: Site, cleared: BrowserContext
) -> None:
    url, app = bound
    headers = await headers_of(cleared)
    assert await curl(f"{url}/page/2", headers) == "403"
    connector = aiohttp.TCPConnector(ssl=firefox.certificate.client())
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"{url}/page/3", headers=headers) as answer,
    ):
        assert answer.status == 403
    app[STATS].reset()

    fetcher = Fetcher(await cleared.new_page(), url)
    await fetcher.open()
    requests = [Request(f"{url}/page/{n}") for n in range(30)]
    requests += [
        Request(f"{url}/json/{n}", headers=(("Accept", "application/json"),)) for n in range(9)
    ]
    form = (("Content-Type", "application/x-www-form-urlencoded"),)
    requests += [Request(f"{url}/post/1", "POST", form, b"field=1")]
    got = await asyncio.gather(
        *(fetcher.fetch(request, timeout=30, max_bytes=2**20) for request in requests)
    )
    assert {answer.status for answer in got} == {200}
    assert all(SUCCESS_TEXT.encode() in answer.body for answer in got)
    assert not app[STATS].rejected


async def test_all_of_a_browsers_headers_are_not_enough_over_tls(
    bound: Site, cleared: BrowserContext
) -> None:
    url, _ = bound
    fetcher = Fetcher(await cleared.new_page(), url)
    await fetcher.open()
    answer = await fetcher.fetch(Request(f"{url}/headers"), timeout=30, max_bytes=2**20)
    headers = json.loads(answer.body)
    expected = "403" if url.startswith("https") else "200"
    assert await curl(f"{url}/page/2", headers) == expected
