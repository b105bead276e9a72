"""What comes from pages that nobody here wrote is text on the operator's page, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.support.dashboard import StandIn
from tests.support.dashboard_data import status, task

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SCRIPTS = [
    "<script>window.canary = 1</script>",
    "<img src=x onerror='window.canary = 1'>",
    "\"><svg onload='window.canary = 1'>",
    "javascript:window.canary=1",
    "${window.canary = 1}</title></textarea>",
]
#: Turns the direction of what follows: exe.jpg and gpj.exe look the same.
TURNED = "shop\u202egpj.exe\u200b\x00"
EVERYTHING = "".join(SCRIPTS) + TURNED


async def is_harmless(page: Page) -> None:
    """Check that nothing ran, and that only the page's own elements are there."""
    assert await page.evaluate("typeof window.canary") == "undefined"
    made = "script:not([src^='dashboard/']), img[src='x'], svg, [onerror], [onload], #app title"
    assert await page.locator(made).count() == 0
    links = await page.locator("a").evaluate_all("links => links.map(a => a.protocol + a.host)")
    assert {link.partition(":")[0] for link in links} <= {"http"}
    text = await page.locator("#app").inner_text()
    assert not set(text) & {"\u202e", "\u200b", "\x00"}


async def test_texts_of_pages_stay_texts_in_the_lists(page: Page, service: StandIn) -> None:
    texts = dict.fromkeys(("host", "vendor", "kind", "why"), EVERYTHING)
    service.add(task(1, state="error", outcome=SCRIPTS[1], **texts))
    waiting = {"state": "waiting_for_human", "outcome": None, "ended_at": None}
    service.add(task(2, **waiting | texts))
    failures = {EVERYTHING: 3}
    egress = status()["egress"] | {"failures": failures}
    sessions = [{"name": EVERYTHING, "idle": 1.0}]
    sites = [{"site": EVERYTHING, "idle": 1.0}]
    hostile = {"reason": EVERYTHING, "warning": EVERYTHING, "browser": EVERYTHING}
    counts = {"restarts": failures, "egress": egress, "sessions": sessions, "sites": sites}
    service.status = status(**hostile, **counts)
    service.minutes[-1]["outcomes"] = {EVERYTHING: 3}
    await page.goto(service.url)
    await expect(page.locator(".tasks tbody tr")).to_have_count(2)
    for text in (SCRIPTS[0], SCRIPTS[2], "\\u{202e}gpj.exe"):
        await expect(page.locator(".tasks tbody tr").first.locator("th")).to_contain_text(text)
    await page.get_by_text("As a table").click()
    await is_harmless(page)
    await page.get_by_role("link", name="Sessions").click()
    await expect(page.get_by_role("region", name="Named by tasks")).to_contain_text(SCRIPTS[0])
    await is_harmless(page)


async def test_texts_of_pages_stay_texts_on_a_tasks_page(page: Page, service: StandIn) -> None:
    entry = task(1, host=EVERYTHING, outcome="timeout", why=EVERYTHING, vendor=EVERYTHING)
    document = {"at": 1.0, "status": 200, "url": EVERYTHING, "vendor": EVERYTHING, "kind": ""}
    service.add(
        entry,
        asked={"url": "javascript:window.canary=1", "headers": [EVERYTHING], EVERYTHING: {}},
        documents=[document],
        unmet=[EVERYTHING],
        hints=[{"code": EVERYTHING, "message": EVERYTHING, "value": EVERYTHING}],
        failed_requests={EVERYTHING: 1},
        error={"code": EVERYTHING, "message": EVERYTHING},
        url="javascript:window.canary=1",
        title=EVERYTHING,
    )
    await page.goto(f"{service.url}#/task/{entry['id']}")
    for name in ("How it went", "Why", "Documents", "What was asked"):
        region = page.get_by_role("region", name=name, exact=True)
        await expect(region).to_contain_text(SCRIPTS[0])
    await is_harmless(page)
    assert "<" not in await page.title()


async def test_endless_texts_are_cut(page: Page, service: StandIn) -> None:
    entry = task(1, host="h" * 100_000, why="w" * 100_000, outcome="o" * 100_000)
    service.add(entry, url="u" * 100_000, title="t" * 100_000)
    await page.goto(f"{service.url}#/task/{entry['id']}")
    await expect(page.get_by_role("region", name="How it went")).to_contain_text("uuuu…")
    assert len(await page.locator("#app").inner_text()) < 20_000
    wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0


@asynccontextmanager
async def site() -> AsyncIterator[tuple[str, list[bytes]]]:
    """Listen where nothing must ever connect to, and note what does."""
    came: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(b"connected")
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", came


def page_that_reaches_out(url: str) -> str:
    """Return HTML that does what it can to run or to load something."""
    return f"""<html><head><title>{SCRIPTS[0]}</title>
<base href="{url}/"><meta http-equiv="refresh" content="0;url={url}/refresh">
<link rel="preconnect" href="{url}"><link rel="dns-prefetch" href="{url}">
<link rel="prefetch" href="{url}/p"><link rel="stylesheet" href="{url}/s.css">
<link rel="modulepreload" href="{url}/m.js"><script src="{url}/s.js"></script>
<style>@import "{url}/i.css"; body {{ background: url({url}/b.png) }}</style></head>
<body onload="parent.canary = 1; top.canary = 1" style="background: url({url}/c.png)">
<script>parent.canary = 1; top.location = "{url}"</script>
<img src="{url}/a.png" srcset="{url}/a2.png 2x" onerror="parent.canary = 1">
<picture><source srcset="{url}/w.webp"><img src="{url}/x.png"></picture>
<video src="{url}/v.mp4" poster="{url}/p.png" autoplay></video><audio src="{url}/a.mp3"></audio>
<iframe src="{url}/f"></iframe><object data="{url}/o"></object><embed src="{url}/e">
<svg><image href="{url}/i.svg"/><use xlink:href="{url}/u.svg#a"/>
<script href="{url}/svg.js"></script></svg>
<noscript><img src="{url}/n.png"></noscript><template><img src="{url}/t.png"></template>
<form action="{url}/form" id="f"><input type="image" src="{url}/g.png"><button>send</button></form>
<a href="{url}/link" target="_top" ping="{url}/ping">a link</a>
<math><mtext><table><mglyph><style><img src="{url}/mutated.png" onerror="parent.canary = 1">
</style></mglyph></table></mtext></math>
<!--><img src="{url}/comment.png">--><plaintext>the end"""


async def test_kept_html_neither_runs_nor_loads_anything(
    context: BrowserContext, service: StandIn
) -> None:
    page = await context.new_page()
    async with site() as (url, came):
        entry = task(1, outcome="timeout", evidence=True)
        service.html[entry["id"]] = html = page_that_reaches_out(url)
        service.add(entry, evidence={"html_bytes": len(html), "jpeg_bytes": 0})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(f"{service.url}#/task/{entry['id']}")
        await page.get_by_role("button", name="Source").click()
        await expect(page.locator("pre")).to_contain_text(SCRIPTS[0])
        await is_harmless(page)
        await page.get_by_role("button", name="Render").click()
        frame = page.frame_locator("iframe.rendered")
        await frame.get_by_text("a link").click()
        await frame.get_by_role("button", name="send").click()
        await expect(frame.get_by_text("the end")).to_be_visible()
        await is_harmless(page)
        own = service.url.removesuffix("/dashboard")
        assert {address for address in asked if not address.startswith(own)} <= {"about:srcdoc"}
        # Whatever hints at a host would have connected by now: a fetch of our own goes out and back.
        await page.evaluate("url => fetch(url)", f"{own}/dashboard/api/session")
        assert came == []
        assert page.url.startswith(service.url)


PUT_INTO_A_FRAME = """html => new Promise(done => {
    const frame = document.createElement("iframe");
    frame.setAttribute("sandbox", "");
    frame.srcdoc = html;
    frame.onload = () => done();
    document.body.append(frame);
})"""


async def test_without_cleaning_the_frame_is_still_shut(
    context: BrowserContext, service: StandIn
) -> None:
    """The sandbox and the policies hold by themselves, but Chromium connects before it asks them."""
    page = await context.new_page()
    async with site() as (url, came):
        await page.goto(service.url)
        await expect(page.get_by_role("region", name="Now")).to_be_visible()
        html = page_that_reaches_out(url).replace("preconnect", "author").replace("iframe", "i")
        await page.evaluate(PUT_INTO_A_FRAME, html)
        assert await page.evaluate("typeof window.canary") == "undefined"
        assert came == []


async def test_a_session_with_any_name_is_ended_by_that_name(page: Page, service: StandIn) -> None:
    name = "a/../b?c#d%2F"
    service.status["sessions"] = [{"name": name, "idle": 1.0}]
    await page.goto(f"{service.url}#/sessions")
    await page.get_by_role("button", name=f"Delete session {name}").click()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await expect(page.get_by_text('None. A task with "session" makes one.')).to_be_visible()
    assert ("DELETE", f"/sessions/{name}") in service.requests


async def test_the_live_view_shows_errors_as_text(page: Page, service: StandIn) -> None:
    entry = task(1, state="waiting_for_human", outcome=None, ended_at=None, seconds=None)
    service.add(entry)
    await page.goto(f"{service.url}#/task/{entry['id']}")
    watcher = await service.watcher()
    await watcher.state()
    await watcher.say(type="error", code="page_gone", message=EVERYTHING)
    live = page.get_by_role("region", name="The page now")
    await expect(live.get_by_role("alert")).to_contain_text(SCRIPTS[0])
    await watcher.say(type="nobody knows", value=json.dumps(SCRIPTS))
    await watcher.picture(b"this is no picture")
    await watcher.until("ack")
    await watcher.say(type="ended", outcome=EVERYTHING)
    await expect(live.get_by_role("status")).to_contain_text("The wait has ended")
    await is_harmless(page)
