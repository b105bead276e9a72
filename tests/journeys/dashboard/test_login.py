"""Who may look: the key is asked for where there is one, and a refusal says what to do."""

from __future__ import annotations

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.support.dashboard import StandIn
from tests.support.dashboard_data import task

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

KEY = "correct horse battery staple"


async def log_in(page: Page, key: str) -> None:
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Log in").click()


async def test_without_keys_nobody_is_asked(page: Page, service: StandIn) -> None:
    await page.goto(service.url)
    await expect(page.get_by_role("region", name="Now")).to_be_visible()
    await expect(page.get_by_role("button", name="Log out")).to_have_count(0)


async def test_a_key_logs_in_and_a_button_logs_out(
    page: Page, context: BrowserContext, service: StandIn
) -> None:
    service.key = KEY
    service.add(task(1))
    await page.goto(f"{service.url}#/task/{task(1)['id']}")
    await expect(page.get_by_label("API key")).to_be_focused()
    await expect(page.get_by_text("shop-1")).to_have_count(0)
    await log_in(page, KEY)
    await expect(page.get_by_role("heading", name="shop-1.example")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="shop-1.example")).to_be_visible()
    kept = await page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]")
    assert kept == ["", 0, 0]
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    await expect(page.get_by_text("shop-1")).to_have_count(0)
    assert await context.cookies() == []


async def test_a_wrong_key_is_refused_in_words(page: Page, service: StandIn) -> None:
    service.key = KEY
    await page.goto(service.url)
    await log_in(page, "wrong")
    await expect(page.get_by_role("alert")).to_have_text("That is no key of this service.")
    assert not any(path.endswith("/events") for _, path in service.requests)
    await log_in(page, KEY)
    await expect(page.get_by_role("region", name="Now")).to_be_visible()


async def test_a_login_that_is_over_asks_again(page: Page, service: StandIn) -> None:
    service.key = KEY
    service.add(task(1))
    await page.goto(service.url)
    await log_in(page, KEY)
    await expect(page.get_by_role("link", name="shop-1.example")).to_be_visible()
    await page.context.clear_cookies()
    service.go_away()
    service.away = False
    await expect(page.get_by_label("API key")).to_be_visible()
    await expect(page.get_by_text("shop-1")).to_have_count(0)
    await log_in(page, KEY)
    await expect(page.get_by_role("link", name="shop-1.example")).to_be_visible()


async def test_who_may_not_look_is_told_why(page: Page, service: StandIn) -> None:
    service.refusal = "Set --api-key, or open it through an SSH tunnel."
    await page.goto(service.url)
    await expect(page.get_by_role("heading", name="Not from here")).to_be_visible()
    await expect(page.get_by_text("Set --api-key")).to_be_visible()
    assert not any(path.endswith("/events") for _, path in service.requests)
