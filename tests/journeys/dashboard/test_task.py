"""A task's page: what was asked and came, why it ended so, and what can be done about it."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.support.dashboard import StandIn
from tests.support.dashboard_data import Json, jpeg, task

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

RUNNING = {"state": "running", "outcome": None, "ended_at": None, "seconds": None}


async def opened(page: Page, service: StandIn, entry: Json, **changes: object) -> Page:
    service.add(entry, **changes)
    await page.goto(f"{service.url}#/task/{entry['id']}")
    await expect(page.get_by_role("heading", level=1)).to_contain_text(entry["host"])
    return page


async def test_page_tells_what_was_asked_and_what_came(page: Page, service: StandIn) -> None:
    asked = {
        "url": "https://shop-1.example/page",
        "success_text": ["Welcome", "Hello"],
        "success_selector": None,
        "no_challenge": True,
        "timeout": 90,
        "proxy": "socks5://proxy.example:1080",
        "cookies": ["sid", "theme"],
        "headers": [],
    }
    hint = {"code": "text_hidden", "message": "It is there, but invisible.", "value": ["Welcome"]}
    error = {"code": "dns_error", "message": "shop-1.example has no address"}
    ended = task(1, state="error", outcome="dns_error", why=error["message"])
    changes = {"asked": asked, "unmet": ["success_text"], "hints": [hint], "error": error}
    await opened(page, service, ended, **changes)
    shown = page.get_by_role("region", name="What was asked")
    for text in ("Welcome, Hello", "Until no challenge", "90 s", "socks5://proxy.example:1080"):
        await expect(shown).to_contain_text(text)
    await expect(shown).to_contain_text("sid, theme")
    await expect(shown.get_by_text("Selector to wait for")).to_have_count(0)
    why = page.get_by_role("region", name="Why")
    for text in ("success_text", "It is there, but invisible.", "text_hidden", "http_404 2"):
        await expect(why).to_contain_text(text)
    how = page.get_by_role("region", name="How it went")
    await expect(how).to_contain_text("dns_error: shop-1.example has no address")
    documents = page.get_by_role("table", name="Documents").locator("tbody tr")
    await expect(documents).to_have_count(2)
    await expect(documents.first).to_contain_text("403")
    await expect(documents.first).to_contain_text("cloudflare, automatic")


async def test_page_follows_its_task(page: Page, service: StandIn) -> None:
    await opened(page, service, task(1, **RUNNING), status_code=None)
    await expect(page.get_by_role("button", name="Cancel task")).to_be_visible()
    await service.change(task(1), status_code=418)
    await expect(page.get_by_role("region", name="How it went")).to_contain_text("418")
    await expect(page.get_by_role("button", name="Delete result")).to_be_visible()
    asked = [path for _, path in service.requests if path.startswith("/dashboard/api/tasks/")]
    await service.change(task(2))
    await service.push("status", service.status)
    await expect(page.locator(".connection")).to_have_text("Live")
    now = [path for _, path in service.requests if path.startswith("/dashboard/api/tasks/")]
    assert now == asked


async def test_cancel_asks_first(page: Page, service: StandIn) -> None:
    await opened(page, service, task(1, **RUNNING))
    await page.get_by_role("button", name="Cancel task").click()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Cancel task")).to_be_focused()
    assert not any(method == "DELETE" for method, _ in service.requests)
    await page.get_by_role("button", name="Cancel task").click()
    await page.get_by_role("button", name="Cancel it").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")
    assert ("DELETE", f"/task/{task(1)['id']}") in service.requests
    await expect(page.get_by_text("The task of shop-1.example is cancelled.")).to_be_attached()


async def test_keys_right_after_a_click_are_for_what_it_opened(
    page: Page, service: StandIn
) -> None:
    """Before a frame is drawn: a machine that is busy draws it late, and a person types on."""
    await opened(page, service, task(1, **RUNNING))
    button = page.get_by_role("button", name="Cancel task")
    focused = await button.evaluate(
        "async button => { button.click(); await null; return document.activeElement.textContent }"
    )
    assert focused == "Cancel it"
    await page.keyboard.press("Escape")
    await expect(button).to_be_focused()


async def test_a_deleted_result_cannot_be_deleted_again(page: Page, service: StandIn) -> None:
    await opened(page, service, task(1))
    await page.get_by_role("button", name="Delete result").click()
    await page.get_by_role("button", name="Delete it").click()
    await expect(page.get_by_text("Its result is not there any more.")).to_be_visible()
    await expect(page.get_by_role("button", name="Delete result")).to_have_count(0)


async def test_what_is_refused_is_told(page: Page, service: StandIn) -> None:
    await opened(page, service, task(1))
    service.tasks.clear()
    await page.get_by_role("button", name="Delete result").click()
    await page.get_by_role("button", name="Delete it").click()
    await expect(page.get_by_role("alert").filter(has_text="No such task.")).to_be_visible()


@pytest.mark.parametrize("address", ["task/ffff", "task/../../login", "nowhere", "task/"])
async def test_what_is_not_there_leads_back(page: Page, service: StandIn, address: str) -> None:
    await page.goto(f"{service.url}#/{address}")
    await page.get_by_role("link", name="To the overview").click()
    await expect(page.get_by_role("region", name="Now")).to_be_visible()


async def test_evidence_is_shown_as_picture_and_as_source(page: Page, service: StandIn) -> None:
    entry = task(1, outcome="timeout", evidence=True)
    service.html[entry["id"]] = "<h1>It was here</h1>" + "x" * 30_000 + "<p>the end</p>"
    service.jpeg[entry["id"]] = await jpeg(page)
    await opened(page, service, entry, evidence={"html_bytes": 30_034, "jpeg_bytes": 5000})
    picture = page.get_by_role("img", name="Screenshot of the page")
    assert await picture.evaluate(
        "async image => { await image.decode(); return image.naturalWidth }"
    )
    assert not any(path.endswith("/evidence?part=html") for _, path in service.requests)
    await page.get_by_role("button", name="Source").click()
    source = page.get_by_role("region", name="Source of the page")
    await expect(source).to_contain_text("<h1>It was here</h1>")
    assert len(await source.inner_text()) == 20_000
    await page.get_by_role("button", name="Show all (10034 more characters)").click()
    await expect(source).to_contain_text("<p>the end</p>")
    await page.get_by_role("button", name="Render").click()
    frame = page.frame_locator("iframe.rendered")
    await expect(frame.get_by_role("heading", name="It was here")).to_be_visible()
    await page.get_by_role("button", name="Render").click()
    await expect(page.locator("iframe")).to_have_count(0)


async def test_evidence_that_is_gone_says_so(page: Page, service: StandIn) -> None:
    entry = task(1, outcome="timeout", evidence=True)
    await opened(page, service, entry, evidence={"html_bytes": 10, "jpeg_bytes": 0})
    await page.get_by_role("button", name="Source").click()
    await expect(page.get_by_role("alert").filter(has_text="Nothing was kept")).to_be_visible()
