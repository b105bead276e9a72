"""The page on a real service with a real Firefox: tasks come, fail, wait for a person, and are solved by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

from tests.support.fire import hit
from tests.support.human_service import CAPTCHA, run_human_service
from tests.support.service import Service
from tests.support.solve_client import Client

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

KEY, OTHER = "a-key-of-one-team", "a-key-of-another"
PASSED = "Welcome, person"
#: The pages of this one need a click at the right place, and a word.
_CHALLENGE = """<!DOCTYPE html><title>Are you human?</title>
<div id="place" style="position: absolute; left: 300px; top: 200px; width: 40px; height: 40px;
  background: #0a0"></div><input id="word" style="position: absolute; left: 300px; top: 300px">
<script>
  let hit = false;
  addEventListener("click", event => {
    if (event.isTrusted && event.target.id === "place") { hit = true; word.focus(); }
  });
  word.addEventListener("keydown", event => {
    if (event.isTrusted && event.key === "Enter" && hit && word.value === "Abc def") {
      document.cookie = "passed=1; path=" + location.pathname;
      location.reload();
    }
  });
</script>"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site() -> AsyncIterator[str]:
    async def guarded(request: web.Request) -> web.Response:
        if "passed" in request.cookies:
            return web.Response(text=f"<h1>{PASSED}</h1>", content_type="text/html")
        return web.Response(text=_CHALLENGE, content_type="text/html", status=405, headers=CAPTCHA)

    async def plain(_: web.Request) -> web.Response:
        return web.Response(text="<title>A page</title><p>Hello", content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/guarded/{name}", guarded), web.get("/plain", plain)])
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    flags = ["--workers", "2", "--keep-evidence", "5", "--human-timeout", "60"]
    flags += ["--api-key", KEY, "--api-key", OTHER, "--max-sessions", "2"]
    with run_human_service(Path(tmp_path_factory.mktemp("dashboard")), *flags) as running:
        yield running
        assert "Traceback" not in running.log
        assert "Abc def" not in running.log


@pytest_asyncio.fixture(loop_scope="session")
async def client(real: Service) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Client(session, real.url)


async def logged_in(page: Page, real: Service, key: str = KEY) -> None:
    await page.goto(f"{real.url}/dashboard")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator(".connection")).to_have_text("Live")


async def show(page: Page, task_id: str) -> None:
    await page.evaluate("id => { location.hash = `#/task/${id}` }", task_id)


async def test_a_wrong_key_stays_outside(page: Page, real: Service) -> None:
    await page.goto(f"{real.url}/dashboard")
    await page.get_by_label("API key").fill("nobody's")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_contain_text("none of the service's API keys")


async def test_a_task_is_seen_by_its_key_alone(
    page: Page, context: BrowserContext, chromium: Browser, real: Service, client: Client, site: str
) -> None:
    await logged_in(page, real)
    task_id = await client.submit(
        url=f"{site}plain", success_text="Hello", session="shop", timeout=20
    )
    row = page.locator(f"tr[data-id='{task_id}']")
    await expect(row).to_contain_text("completed")
    await row.get_by_role("link").click()
    await expect(page.get_by_role("table", name="Documents").locator("tbody tr")).to_have_count(1)
    for text in ("Hello", "shop"):
        await expect(page.get_by_role("region", name="What was asked")).to_contain_text(text)
    stranger = await chromium.new_context()
    other = await stranger.new_page()
    await logged_in(other, real, OTHER)
    await expect(other.get_by_text("No task yet.")).to_be_visible()
    await show(other, task_id)
    await expect(other.get_by_text("There is no such task any more")).to_be_visible()
    await other.get_by_role("link", name="Sessions").click()
    await expect(other.get_by_text('None. A task with "session" makes one.')).to_be_visible()
    await stranger.close()
    await page.get_by_role("button", name="Delete result").click()
    await page.get_by_role("button", name="Delete it").click()
    await expect(page.get_by_text("Its result is not there any more.")).to_be_visible()
    assert (await client.result(task_id))["status"] == "not_found"
    await page.get_by_role("link", name="Sessions").click()
    await page.get_by_role("button", name="Delete session shop").click()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await expect(page.get_by_text('None. A task with "session" makes one.')).to_be_visible()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_label("API key")).to_be_visible()


async def test_what_failed_has_its_evidence(
    page: Page, real: Service, client: Client, site: str
) -> None:
    await logged_in(page, real)
    # Long enough for the page to be there, on a machine that is busy, too.
    task_id = await client.submit(url=f"{site}plain", success_text="Goodbye", timeout=6)
    row = page.locator(f"tr[data-id='{task_id}']")
    await expect(row).to_contain_text("timeout")
    await expect(row).to_contain_text("success_text")
    loaded = "async image => { await image.decode(); return image.naturalWidth }"
    assert await row.locator("img").evaluate(loaded) > 0
    await row.get_by_role("link").first.click()
    await expect(page.get_by_role("region", name="Why")).to_contain_text("success_text")
    picture = page.get_by_role("img", name="Screenshot of the page")
    assert await picture.evaluate(loaded) > 0
    await page.get_by_role("button", name="Source").click()
    await expect(page.locator("pre")).to_contain_text("<p>Hello")
    await page.get_by_role("button", name="Render").click()
    await expect(page.frame_locator("iframe").get_by_text("Hello")).to_be_visible()


async def test_a_running_task_is_cancelled(
    page: Page, real: Service, client: Client, site: str
) -> None:
    await logged_in(page, real)
    task_id = await client.submit(url=f"{site}plain", success_text="Goodbye", timeout=60)
    await page.locator(f"tr[data-id='{task_id}'] a").click()
    await page.get_by_role("button", name="Cancel task").click()
    await page.get_by_role("button", name="Cancel it").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")


async def waiting(page: Page, client: Client, url: str) -> str:
    """Submit a task that waits for a person, and open its page by what is told of it."""
    task_id = await client.submit(url=url, success_text=PASSED, timeout=30, on_challenge="wait")
    told = page.get_by_role("region", name="Waiting for a person")
    await told.get_by_role("link").click()
    await expect(page.locator(".live canvas")).to_be_visible()
    return task_id


async def controlled(page: Page) -> Locator:
    await page.get_by_role("button", name="Take control").click()
    picture = page.get_by_role("application")
    await expect(picture).to_be_focused()
    return picture


async def test_a_person_solves_what_waits_for_one(
    page: Page, real: Service, client: Client, site: str
) -> None:
    await logged_in(page, real)
    task_id = await waiting(page, client, f"{site}guarded/one")
    picture = await controlled(page)
    width = await picture.evaluate("canvas => canvas.width")
    shown = await picture.evaluate("canvas => canvas.getBoundingClientRect().width")
    await picture.click(position={"x": 320 * shown / width, "y": 220 * shown / width})
    await page.keyboard.type("Abc ")
    await page.get_by_label("Text for the page").fill("def")
    await page.get_by_role("button", name="Send text").click()
    await page.get_by_role("button", name="Enter", exact=True).click()
    await expect(page.get_by_text("Solved: the task is completed.")).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("completed")
    assert PASSED in (await client.finished(task_id))["data"]["html"]


async def test_one_acts_while_another_watches(
    page: Page, chromium: Browser, real: Service, client: Client, site: str
) -> None:
    await logged_in(page, real)
    task_id = await waiting(page, client, f"{site}guarded/two")
    await controlled(page)
    phone = await chromium.new_context(viewport={"width": 390, "height": 844})
    second = await phone.new_page()
    await logged_in(second, real)
    await show(second, task_id)
    await expect(second.locator(".live canvas")).to_be_visible()
    await expect(page.get_by_text("2 watchers")).to_be_visible()
    await expect(second.get_by_text("Somebody else has control; you watch.")).to_be_visible()
    await second.get_by_role("button", name="Ask for control").click()
    await page.get_by_role("button", name="Keep it").click()
    await expect(second.get_by_text("They keep control.")).to_be_visible()
    await second.get_by_role("button", name="Ask for control").click()
    await page.get_by_role("button", name="Hand it over").click()
    await expect(second.get_by_text("You have control.")).to_be_visible()
    await expect(page.get_by_text("Somebody else has control; you watch.")).to_be_visible()
    await second.get_by_role("button", name="Release control").click()
    await expect(page.get_by_text("Nobody has control.")).to_be_visible()
    await page.get_by_role("button", name="Give up").click()
    await page.get_by_role("button", name="Give up", exact=True).click()
    for watching in (page, second):
        await expect(watching.get_by_text("The wait has ended: timeout.")).to_be_visible()
    await phone.close()


async def test_the_page_survives_its_browsers_death(
    page: Page, real: Service, client: Client, site: str
) -> None:
    await logged_in(page, real)
    await waiting(page, client, f"{site}guarded/three")
    await controlled(page)
    hit(real.browsers())
    await expect(page.get_by_text("The wait has ended")).to_be_visible()
    await expect(page.locator(".connection")).to_have_text("Live")
