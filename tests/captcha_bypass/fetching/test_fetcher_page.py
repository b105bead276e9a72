"""The page that fetches: what of the site reaches it, and what becomes of fetches when it ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import cast

import psutil
import pytest
from playwright.async_api import BrowserContext, Error, Page, Response

from captcha_bypass.fetching.border import PART
from captcha_bypass.fetching.fetcher import Fetcher
from captcha_bypass.fetching.messages import PageSpoilt, Request
from tests.captcha_bypass.fetching.conftest import OpenContext, Running
from tests.captcha_bypass.fetching.other_world import OtherWorld
from tests.support.fire import hit
from tests.support.raw_site import RawSite, Seen, answer
from tests.support.scripted_queue import until
from tests.support.service import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

HTML = [("Content-Type", "text/html")]
REGISTER = b"""<!doctype html><script>(async () => {
  await navigator.serviceWorker.register("/worker.js");
  const { active } = await navigator.serviceWorker.ready;
  if (active.state !== "activated") await new Promise((ok) => active.addEventListener("statechange", ok));
  document.title = "registered";
})()</script>"""
WORKER = """
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => event.respondWith(%s));
"""
FORGED = (
    'new Response("<script>fetch = 1</script>forged", {headers: {"Content-Type": "text/html"}})'
)
PASSED_ON = "fetch(event.request)"
#: A page hears of its worker a moment after the worker is active.
CONTROLLED = "Boolean(navigator.serviceWorker.controller)"


async def register_worker(site: RawSite, context: BrowserContext, answering: str) -> None:
    script = [("Content-Type", "text/javascript")]
    site.answers["/worker.js"] = answer(headers=script, body=(WORKER % answering).encode())
    site.answers["/register"] = answer(headers=HTML, body=REGISTER)
    page = await context.new_page()
    await page.goto(site.url("/register"))
    await page.wait_for_function("document.title === 'registered'")
    await page.close()


async def body_of(fetcher: Fetcher, url: str) -> bytes:
    return (await fetcher.fetch(Request(url), timeout=20, max_bytes=2**20)).body


@pytest.mark.parametrize("answering", [FORGED, PASSED_ON])
async def test_worker_of_the_site_does_not_answer_in_its_place(
    site: RawSite, context: BrowserContext, answering: str
) -> None:
    await register_worker(site, context, answering)
    page = await context.new_page()
    await page.goto(site.url("/anything"))
    await page.wait_for_function(CONTROLLED)
    await page.close()
    site.answers["/data"] = answer(body=b"the site's own")
    fetcher = Fetcher(await context.new_page(), site.origin)
    await fetcher.open()
    assert await body_of(fetcher, site.url("/data")) == b"the site's own"


async def test_worker_that_comes_later_does_not_answer_in_its_place(
    site: RawSite, context: BrowserContext
) -> None:
    site.answers["/data"] = answer(body=b"the site's own")
    page = await context.new_page()
    fetcher = Fetcher(page, site.origin)
    await fetcher.open()
    assert await body_of(fetcher, site.url("/data")) == b"the site's own"
    await register_worker(site, context, FORGED)
    await page.wait_for_function(CONTROLLED)
    with pytest.raises(PageSpoilt) as spoilt:
        await body_of(fetcher, site.url("/data"))
    assert not spoilt.value.sent
    assert len(site.requests("/data")) == 1
    assert fetcher.is_spoilt
    another = Fetcher(await context.new_page(), site.origin)
    await another.open()
    assert await body_of(another, site.url("/data")) == b"the site's own"


async def test_windows_of_the_site_do_not_reach_it(site: RawSite, context: BrowserContext) -> None:
    site.answers["/opener"] = answer(headers=HTML, body=b"<!doctype html>opener")
    opener = await context.new_page()
    await opener.goto(site.url("/opener"))
    async with context.expect_page() as opened:
        await opener.evaluate("() => { window.opened = open('/opener') }")
    page = await opened.value
    await page.wait_for_load_state()
    assert await opener.evaluate("opened.document.body.textContent") == "opener"
    await Fetcher(page, site.origin).open()
    reached = "() => { try { return opened.document.body !== null } catch { return false } }"
    assert await opener.evaluate("opened.closed") or not await opener.evaluate(reached)


async def test_policy_of_the_site_does_not_bind_it(site: RawSite, context: BrowserContext) -> None:
    policy = [
        ("Content-Security-Policy", "default-src 'none'; sandbox"),
        ("X-Frame-Options", "DENY"),
    ]
    site.answers["/"] = answer(headers=[*policy, *HTML], body=b"strict")
    page = await context.new_page()
    await page.goto(site.origin)
    fetcher = Fetcher(page, site.origin)
    await fetcher.open()
    assert await body_of(fetcher, site.url("/")) == b"strict"


async def test_it_works_in_a_world_of_its_own(site: RawSite, context: BrowserContext) -> None:
    page = await context.new_page()
    fetcher = Fetcher(cast("Page", OtherWorld(page)), site.origin)
    await fetcher.open()
    assert await page.evaluate("typeof captchaBypass") == "undefined"
    body = bytes(range(256)) * (2 * PART // 256 + 1)
    headers = [("X-Name", "caf\xe9"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    site.answers["/data"] = answer("201 Made", headers, body)
    site.answers["/moved"] = answer("302 Found", [("Location", "/x")])
    request = Request(site.url("/data"), "POST", (("X-Token", "1"),), body[:2000])
    got = await fetcher.fetch(request, timeout=30, max_bytes=2**20)
    assert (got.status, got.body) == (201, body)
    assert list(got.headers)[:3] == headers
    assert site.last("/data").body == body[:2000]
    moved = await fetcher.fetch(Request(site.url("/moved")), timeout=30, max_bytes=2**20)
    assert (moved.status, moved.headers[0]) == (302, ("Location", "/x"))


async def test_browser_keeps_no_bodies_of_its_answers(
    site: RawSite, context: BrowserContext
) -> None:
    site.answers["/data"] = answer(body=b"data")
    page = await context.new_page()
    fetcher = Fetcher(page, site.origin)
    await fetcher.open()
    async with page.expect_response(site.url("/data")) as told:
        assert await body_of(fetcher, site.url("/data")) == b"data"
    with pytest.raises(Error, match="no such network data"):
        await (await told.value).body()


async def test_browser_keeps_bodies_of_a_document_until_its_page_is_emptied(
    site: RawSite, context: BrowserContext
) -> None:
    site.answers["/page"] = answer(headers=HTML, body=b"<!doctype html>source")
    page = await context.new_page()
    first, second = [await page.goto(site.url("/page")) for _ in range(2)]
    assert first is not None
    assert second is not None
    assert await first.body() == b"<!doctype html>source"
    await page.goto("about:blank")
    with pytest.raises(Error, match="no such network data"):
        await second.body()
    third = await page.goto(site.url("/page"))
    assert third is not None
    assert await third.body() == b"<!doctype html>source"


@pytest.mark.soak  # five seconds
async def test_driver_forgets_requests_but_not_documents(
    site: RawSite, context: BrowserContext
) -> None:
    site.answers["/page"] = answer(headers=HTML, body=b"<!doctype html>")
    page = await context.new_page()
    answered: list[Response] = []
    page.on("response", lambda response: answered.append(response))
    document = await page.goto(site.url("/page"))
    assert document is not None
    # More than the driver remembers.
    await page.evaluate("""async () => {
      for (let n = 0; n < 110; n++) await Promise.all([..."0123456789"].map((n) => fetch(`/${n}`)));
    }""")
    await until(lambda: len(answered) == 1101)
    assert answered[0] is document
    assert await answered[-1].header_value("content-length") == "0"
    with pytest.raises(Error, match="collected"):
        await answered[1].header_value("content-length")
    assert await document.header_value("content-type") == "text/html"


async def _silent(seen: Seen, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


def content_processes(firefox: Running) -> set[psutil.Process]:
    """The processes of its pages."""
    found = set()
    for process in firefox.root.children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile, as those of closed pages do
            if process.cmdline()[-1:] == ["tab"]:
                found.add(process)
    return found


@pytest.mark.parametrize("end", ["close", "navigate", "crash"])
async def test_fetches_end_with_their_page(
    firefox: Running, site: RawSite, open_context: OpenContext, end: str
) -> None:
    before = content_processes(firefox)
    page = await (await open_context(site.origin)).new_page()
    fetcher = Fetcher(page, site.origin)
    await fetcher.open()
    site.answers["/silent"] = _silent
    fetches = [asyncio.create_task(body_of(fetcher, site.url(f"/silent?{n}"))) for n in range(10)]
    assert await eventually(lambda: len(site.seen) == 6, 10)
    if end == "close":
        await page.close()
    elif end == "navigate":
        await page.goto("about:blank")
    else:
        hit(content_processes(firefox) - before)
    async with asyncio.timeout(15):
        ended = await asyncio.gather(*fetches, return_exceptions=True)
    assert [type(error) for error in ended] == [PageSpoilt] * 10
    sent = [error.sent for error in ended if isinstance(error, PageSpoilt)]
    assert sent == [True] * 6 + [False] * 4
    # What a crashed page has asked for goes on until its guard is closed.
    assert end == "crash" or await eventually(lambda: len(site.hung_up) == 6, 10)
