"""The overview follows the service: figures, charts, the last tasks and their filter."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.support.dashboard import StandIn
from tests.support.dashboard_data import jpeg, status, task

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def rows(page: Page) -> list[str]:
    """Return the hosts of the list."""
    return await page.locator(".tasks tbody th").all_inner_texts()


async def test_figures_are_those_of_the_service(page: Page, service: StandIn) -> None:
    await page.goto(service.url)
    now = page.get_by_role("region", name="Now")
    await expect(now).to_contain_text("2 of 4")
    await expect(now).to_contain_text("Firefox 156.0")
    for text in ("5 min 20 s", "612 MB", "blocked_address 4", "memory 1", "912 connections"):
        await expect(now).to_contain_text(text)


async def test_figures_change_with_the_service(page: Page, service: StandIn) -> None:
    await page.goto(service.url)
    now = page.get_by_role("region", name="Now")
    await expect(now).to_contain_text("Ready")
    reason = "no browser: Xvfb is not installed"
    await service.push("status", status(state="unavailable", reason=reason, browsers=[]))
    await expect(now).to_contain_text("Not ready")
    await expect(now.get_by_role("status")).to_contain_text(reason)
    await expect(now).to_contain_text("None runs")


async def test_nodes_that_share_the_queue_are_listed_and_nothing_where_none_do(
    page: Page, service: StandIn
) -> None:
    await page.goto(service.url)
    now = page.get_by_role("region", name="Now")
    await expect(now).to_contain_text("Ready")
    await expect(now.get_by_role("table", name="Nodes that share the queue")).to_have_count(0)
    node = {"name": "<b>one</b>", "slots": 4, "running": 3, "waiting_for_human": 1}
    await service.push("status", status(nodes=[node]))
    table = now.get_by_role("table", name="Nodes that share the queue")
    await expect(table.get_by_role("row")).to_have_count(2)
    for text in ("<b>one</b>", "3", "4", "1"):
        await expect(table.get_by_role("row").nth(1)).to_contain_text(text)


async def test_tasks_are_listed_newest_first(page: Page, service: StandIn) -> None:
    service.add(task(1), task(2))
    await page.goto(service.url)
    await expect(page.locator(".tasks tbody tr")).to_have_count(2)
    assert await rows(page) == ["shop-2.example", "shop-1.example"]
    await service.change(task(3, state="running", outcome=None, ended_at=None, seconds=None))
    await expect(page.locator(".tasks tbody tr")).to_have_count(3)
    first = page.locator(".tasks tbody tr").first
    await expect(first).to_contain_text("running")
    await service.change(task(3, state="completed", outcome="timeout", why="the text did not show"))
    await expect(first).to_contain_text("timeout")
    await expect(first).to_contain_text("the text did not show")
    removed = {"reset": False, "tasks": [], "removed": [task(3)["id"]]}
    await service.push("tasks", removed)
    await expect(page.locator(".tasks tbody tr")).to_have_count(2)


async def test_filter_is_in_the_address(page: Page, service: StandIn) -> None:
    failed = {"state": "error", "outcome": "dns_error"}
    service.add(task(1), task(2, outcome="timeout"), task(3, **failed), task(11, **failed))
    await page.goto(service.url)
    await page.get_by_label("Outcome").select_option("dns_error")
    await expect(page.locator(".tasks tbody tr")).to_have_count(2)
    await page.get_by_label("Host").fill("SHOP-1")
    await expect(page.get_by_text("1 task of 4")).to_be_visible()
    assert await rows(page) == ["shop-11.example"]
    assert page.url.endswith("#/?host=SHOP-1&outcome=dns_error")
    await page.reload()
    await expect(page.get_by_label("Host")).to_have_value("SHOP-1")
    await expect(page.get_by_label("Outcome")).to_have_value("dns_error")
    # The list comes after the filter, which is in the address.
    await expect(page.locator(".tasks tbody tr")).to_have_count(1)
    assert await rows(page) == ["shop-11.example"]
    await page.get_by_label("Host").fill("")
    await page.get_by_label("Outcome").select_option("failed")
    await expect(page.locator(".tasks tbody tr")).to_have_count(2)
    await page.get_by_label("Outcome").select_option("open")
    await expect(page.get_by_text("0 tasks of 4")).to_be_visible()


async def test_charts_tell_the_same_as_text(page: Page, service: StandIn) -> None:
    done = {"completed": 7, "timeout": 2, "dns_error": 1, "proxy_error": 1}
    service.minutes = [{"at": 1_700_000_040, "outcomes": done, "p50": 1.5, "p95": 8.0}]
    await page.goto(service.url)
    charts = page.get_by_role("region", name="Last hour")
    await expect(charts.locator("canvas")).to_have_count(2)
    for text in ("completed 7", "timeout 2", "cancelled 0", "failed 2", "slowest minute 8.0 s"):
        await expect(charts).to_contain_text(text)
    at = service.minutes[0]["at"]
    later = {"at": at + 60, "outcomes": {"completed": 3}, "p50": 1.0, "p95": 20.0}
    await service.push("minutes", [service.minutes[0], later])
    await expect(charts).to_contain_text("completed 10")
    await charts.get_by_text("As a table").click()
    await expect(charts.locator("tbody tr")).to_have_count(2)
    await expect(charts.locator("tbody tr").last).to_contain_text("20 s")


async def test_evidence_has_a_thumbnail(page: Page, service: StandIn) -> None:
    service.add(task(1, evidence=True), task(2))
    service.jpeg[task(1)["id"]] = await jpeg(page)
    await page.goto(service.url)
    thumbnail = page.get_by_role("link", name="Evidence of shop-1.example").locator("img")
    assert await thumbnail.evaluate(
        "async image => { await image.decode(); return image.naturalWidth }"
    )
    await expect(page.locator(".thumbnail")).to_have_count(1)


async def test_a_session_is_deleted_once_it_is_confirmed(page: Page, service: StandIn) -> None:
    await page.goto(f"{service.url}#/sessions")
    named = page.get_by_role("region", name="Named by tasks")
    await expect(named.locator("tbody tr")).to_have_count(2)
    await expect(page.get_by_role("region", name="Kept for sites")).to_contain_text("example.com")
    await named.get_by_role("button", name="Delete session shop").click()
    await named.get_by_role("button", name="No").click()
    await expect(named.get_by_role("button", name="Delete session shop")).to_be_focused()
    await named.get_by_role("button", name="Delete session shop").click()
    await named.get_by_role("button", name="Delete", exact=True).click()
    await expect(named.locator("tbody tr")).to_have_count(1)
    assert ("DELETE", "/sessions/shop") in service.requests
    await expect(page.get_by_text("Session shop is deleted.")).to_be_attached()


async def test_a_session_that_is_gone_says_so(page: Page, service: StandIn) -> None:
    await page.goto(f"{service.url}#/sessions")
    button = page.get_by_role("button", name="Delete session forum")
    await expect(button).to_be_visible()
    service.status["sessions"] = []
    await button.click()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await expect(page.get_by_role("alert").filter(has_text="no session 'forum'")).to_be_visible()


COUNT_CHANGES = """() => {
    window.changes = 0;
    const count = (records) => { for (const r of records) window.changes += 1 + r.addedNodes.length; };
    const options = {subtree: true, childList: true, attributes: true, characterData: true};
    new MutationObserver(count).observe(document.querySelector(".tasks"), options);
}"""


async def test_of_a_thousand_tasks_only_the_changed_row_is_drawn(
    page: Page, service: StandIn
) -> None:
    service.add(*(task(number) for number in range(1000)))
    await page.goto(service.url)
    for shown in range(100, 1000, 100):
        await expect(page.locator(".tasks tbody tr")).to_have_count(shown)
        await page.get_by_role("button", name="more of").click()
    await expect(page.locator(".tasks tbody tr")).to_have_count(1000)
    await page.evaluate(COUNT_CHANGES)
    await service.change(task(500, outcome="timeout", why="time was up"))
    await service.push("status", status())
    row = page.locator(".tasks tbody tr").filter(has_text="time was up")
    await expect(row).to_be_attached()
    assert 0 < await page.evaluate("window.changes") < 15
    await service.push("tasks", {"reset": False, "tasks": [task(1001)], "removed": []})
    await expect(page.get_by_role("link", name="shop-1001.example")).to_be_attached()
    assert await page.evaluate("window.changes") < 30


async def test_a_list_that_comes_again_draws_nothing_anew(page: Page, service: StandIn) -> None:
    service.add(*(task(number) for number in range(50)))
    await page.goto(service.url)
    await expect(page.locator(".tasks tbody tr")).to_have_count(50)
    await page.evaluate(COUNT_CHANGES)
    every = list(service.tasks.values())
    await service.push("tasks", {"reset": True, "tasks": [*every, task(60)], "removed": []})
    await expect(page.locator(".tasks tbody tr")).to_have_count(51)
    assert await page.evaluate("window.changes") < 15
