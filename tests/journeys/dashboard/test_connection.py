"""One connection feeds the page; it says when it is lost, comes back, and rests while nobody looks."""

from __future__ import annotations

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.support.dashboard import StandIn
from tests.support.dashboard_data import status, task

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SEEN = """(seen) => {
    Object.defineProperty(document, "hidden", {value: !seen, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


async def test_a_lost_connection_is_told_and_comes_back(page: Page, service: StandIn) -> None:
    service.add(task(1))
    await page.goto(service.url)
    await expect(page.locator(".connection")).to_have_text("Live")
    service.go_away()
    await expect(page.locator(".connection")).to_contain_text("Connection lost")
    await expect(page.get_by_text("Connection lost.", exact=True)).to_be_attached()
    await expect(page.get_by_role("link", name="shop-1.example")).to_be_visible()
    service.add(task(2))
    service.away = False
    await expect(page.locator(".connection")).to_have_text("Live")
    await expect(page.get_by_role("link", name="shop-2.example")).to_be_visible()
    await expect(page.get_by_text("Connected again.")).to_be_attached()


async def test_a_service_that_is_not_there_yet_is_found(page: Page, service: StandIn) -> None:
    await page.route("**/api/session", lambda route: route.abort())
    await page.goto(service.url)
    await expect(page.get_by_text("does not answer")).to_be_visible()
    await page.unroute("**/api/session")
    await expect(page.locator(".connection")).to_have_text("Live")


async def test_a_hidden_tab_has_no_connection(page: Page, service: StandIn) -> None:
    await page.goto(service.url)
    await service.until_listeners(1)
    await page.evaluate(SEEN, False)
    await service.until_listeners(0)
    await expect(page.locator(".connection")).to_have_text("Paused")
    service.add(task(1))
    await page.evaluate(SEEN, True)
    await service.until_listeners(1)
    await expect(page.get_by_role("link", name="shop-1.example")).to_be_visible()


async def test_a_closed_tab_leaves_no_connection(context: BrowserContext, service: StandIn) -> None:
    page = await context.new_page()
    await page.goto(service.url)
    await service.until_listeners(1)
    await page.close()
    await service.until_listeners(0)


async def test_figures_come_without_asking(page: Page, service: StandIn) -> None:
    await page.goto(service.url)
    await expect(page.locator(".connection")).to_have_text("Live")
    before = list(service.requests)
    for queued in range(20):
        tasks = status()["tasks"] | {"queued": queued}
        await service.push("status", status(tasks=tasks))
        await service.push("tasks", {"reset": False, "tasks": [task(queued)], "removed": []})
    await expect(page.locator(".tasks tbody tr")).to_have_count(20)
    assert service.requests == before
    assert service.listeners == 1


async def test_silence_is_a_lost_connection(page: Page, service: StandIn) -> None:
    """After 20 seconds, by a clock that is the test's alone: a busy machine's seconds do not count."""
    await page.clock.install()
    await page.goto(service.url)
    await service.until_listeners(1)
    connection, now = page.locator(".connection"), page.get_by_role("region", name="Now")
    await expect(connection).to_have_text("Live")
    # Once it is lost, it stays so.
    await page.route("**/api/session", lambda route: route.abort())
    await page.clock.pause_at(await page.evaluate("Date.now() / 1000") + 10)
    for state, shown in (("starting", "Starting"), ("stopping", "Stopping")):
        await service.push("status", status(state=state))
        await expect(now).to_contain_text(shown)
        await page.clock.run_for(19_000)
        assert await connection.text_content() == "Live"
    await page.clock.run_for(2_000)
    await expect(connection).to_contain_text("Connection lost")
    await page.unroute("**/api/session")
    await page.clock.run_for(13_000)
    await expect(connection).to_have_text("Live")
