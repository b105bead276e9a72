"""The page is for whoever operates the service: by keyboard, by ear, on a phone, in the dark."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.dashboard import StandIn
from tests.support.dashboard_data import jpeg, task
from tests.support.repository import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WAITING = {"state": "waiting_for_human", "outcome": None, "ended_at": None, "seconds": None}
FAILED = {"state": "error", "outcome": "dns_error", "why": "shop.example has no address"}
VIEWS = ["", "#/sessions", f"#/task/{task(1)['id']}", f"#/task/{task(2)['id']}", "#/nowhere"]


async def filled(service: StandIn, page: Page) -> None:
    """Let there be one of everything."""
    service.add(task(2, **WAITING))
    kept = {"html_bytes": 20, "jpeg_bytes": 20}
    hint = {"code": "text_hidden", "message": "It is invisible.", "value": "Welcome"}
    error = {"code": "dns_error", "message": "no address"}
    service.add(task(1, **FAILED, evidence=True), evidence=kept, hints=[hint], error=error)
    service.add(task(3, outcome="timeout"), task(4), task(5, outcome="cancelled"))
    service.jpeg[task(1)["id"]] = await jpeg(page)
    service.html[task(1)["id"]] = "<p>It was here</p>"
    service.status["warning"] = "another browser is in use"
    service.status["tasks"]["waiting_for_human"] = 1


async def arrived(page: Page, service: StandIn, view: str) -> None:
    """Open a view, and all that it can show at once."""
    await page.goto(f"{service.url}{view}")
    await expect(page.locator(".connection")).to_have_text("Live")
    await expect(page.get_by_role("heading", level=1)).to_be_attached()
    if view == VIEWS[0]:
        await page.get_by_text("As a table").click()
    if view == VIEWS[2]:
        await page.get_by_role("button", name="Source").click()
        await expect(page.locator("pre")).to_be_visible()
    if view == VIEWS[3]:
        watcher = await service.watcher(len(service.watchers) or 1)
        await watcher.state(control="you")
        await watcher.picture(await jpeg(page))
        await watcher.say(type="asked", seconds=10)
        await watcher.say(type="error", code="outside", message="That is outside of the page.")
        await expect(page.get_by_role("application")).to_be_visible()
        await expect(page.get_by_role("button", name="Keep it")).to_be_visible()


async def findings(page: Page) -> list[tuple[str, str, Any]]:
    """Return what axe-core has to say against the page as it is."""
    await page.evaluate((ROOT / "node_modules/axe-core/axe.min.js").read_text())
    found = await page.evaluate("async () => (await axe.run()).violations")
    return [(v["id"], v["impact"], [n["target"] for n in v["nodes"]]) for v in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
async def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    chromium: Browser, service: StandIn, width: int, scheme: Literal["light", "dark"]
) -> None:
    context = await chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = await context.new_page()
    await filled(service, page)
    for view in VIEWS:
        await arrived(page, service, view)
        assert await findings(page) == [], view
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, view
    await context.close()


async def test_axe_finds_nothing_in_the_login_and_the_refusals(
    page: Page, service: StandIn
) -> None:
    service.key = "key"
    await page.goto(service.url)
    await page.get_by_label("API key").fill("wrong")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_contain_text("no key")
    assert await findings(page) == []
    service.refusal = "Set --api-key."
    await page.reload()
    await expect(page.get_by_role("heading", name="Not from here")).to_be_visible()
    assert await findings(page) == []
    service.refusal = service.key = None
    await page.reload()
    await expect(page.locator(".connection")).to_have_text("Live")
    service.go_away()
    await expect(page.locator(".connection")).to_contain_text("lost")
    assert await findings(page) == []


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has that name has the focus, and shows it."""
    names = []
    for _ in range(60):
        await page.keyboard.press("Tab")
        focused = "document.activeElement"
        names.append(await page.evaluate(f"({focused}.ariaLabel ?? {focused}.innerText).trim()"))
        if names[-1] == name:
            assert await page.evaluate(f"getComputedStyle({focused}).outlineStyle") == "solid"
            return
    raise AssertionError(f"{name} is not among {names}")


async def test_everything_is_done_by_keyboard(page: Page, service: StandIn) -> None:
    service.add(task(1), task(2, state="running", outcome=None, ended_at=None, seconds=None))
    service.key = "the key"
    await page.goto(service.url)
    await expect(page.get_by_label("API key")).to_be_focused()
    await page.keyboard.type("the key")
    await page.keyboard.press("Enter")
    await expect(page.locator(".tasks tbody tr")).to_have_count(2)
    await tab_to(page, "To the content")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    await tab_to(page, "shop-2.example")
    await page.keyboard.press("Enter")
    heading = page.get_by_role("heading", level=1)
    await expect(heading).to_contain_text("shop-2.example")
    await tab_to(page, "Cancel task")
    await page.keyboard.press("Space")
    await expect(page.get_by_role("button", name="Cancel it")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(heading).to_contain_text("cancelled")
    await page.go_back()
    await expect(page.locator(".tasks tbody tr").first).to_contain_text("cancelled")
    await tab_to(page, "Sessions")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Sessions")).to_be_focused()
    await tab_to(page, "Delete session shop")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Delete", exact=True)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Delete session shop")).to_have_count(0)
    await tab_to(page, "Log out")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("API key")).to_be_focused()


async def test_a_view_begins_at_its_heading(page: Page, service: StandIn) -> None:
    service.add(task(1))
    await page.goto(service.url)
    await page.get_by_role("link", name="shop-1.example").click()
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await expect(page).to_have_title("Task · captcha-bypass")
    await page.go_back()
    await expect(page).to_have_title("Overview · captcha-bypass")


async def test_what_is_said_is_only_what_matters(page: Page, service: StandIn) -> None:
    """Figures change each second: who listens to the page is not told of them."""
    await page.goto(service.url)
    await expect(page.get_by_role("region", name="Now")).to_be_visible()
    await page.evaluate("""() => {
        window.told = [];
        const live = '[role=status], [role=alert], [aria-live]';
        new MutationObserver(records => {
            for (const { target } of records) {
                const element = target.nodeType === 1 ? target : target.parentElement;
                if (element?.closest(live)) window.told.push(element.textContent);
            }
        }).observe(document.body, {subtree: true, childList: true, characterData: true});
    }""")
    for queued in range(5):
        tasks = service.status["tasks"] | {"queued": queued}
        await service.push("status", service.status | {"tasks": tasks})
        await service.change(task(queued))
    await expect(page.locator(".tasks tbody tr")).to_have_count(5)
    assert await page.evaluate("window.told") == []
    await service.change(task(9, **WAITING))
    await expect(page.get_by_text("1 task waits for a person")).to_be_visible()
    assert await page.evaluate("window.told") == ["1 task waits for a person"]
