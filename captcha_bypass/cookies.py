"""Cookies on their way into the browser and out of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, Page

from captcha_bypass.models import Cookie, ResultCookie, Task


def host_of(url: str) -> str:
    """Return the host of a URL that passed the API, IPv6 in brackets."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host


async def set_cookies(page: Page, request: Task) -> None:
    """Give the page's context the cookies of a task, before anything is opened in it."""
    if request.cookies:
        cookies: Any = [_browser_cookie(cookie, request.url) for cookie in request.cookies]
        await page.context.add_cookies(cookies)


async def cookies_of(context: BrowserContext) -> list[ResultCookie]:
    """Return all cookies of a context."""
    return [ResultCookie.model_validate(cookie) for cookie in await context.cookies()]


def _browser_cookie(cookie: Cookie, task_url: str) -> dict[str, Any]:
    """Give a cookie the place it needs; a host-only cookie's domain has no leading dot."""
    url = cookie.url or task_url
    fields = cookie.model_dump(exclude={"url", "domain", "secure", "partitionKey"})
    return {
        **fields,
        "domain": cookie.domain or host_of(url),
        "secure": url.startswith("https:") if cookie.secure is None else cookie.secure,
    }
