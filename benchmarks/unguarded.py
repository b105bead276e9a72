"""The service without its egress guard, to see what the guard costs. Never run it for anything else.

`python -m benchmarks.unguarded FLAGS` takes the flags of `captcha-bypass`.
"""

from __future__ import annotations

from playwright.async_api import Browser, BrowserContext

from captcha_bypass import cli
from captcha_bypass.browsers.launch import engines, launcher, preferences


async def _new_context(
    self: engines.Firefox, browser: Browser, guard: str, *, time_zone: str | None = None
) -> BrowserContext:
    return await browser.new_context(accept_downloads=False, no_viewport=True)


async def _check_nothing(*_: object) -> None:
    return None


if __name__ == "__main__":
    preferences.FIREFOX_PREFS["network.proxy.type"] = 0
    engines.Firefox.new_context = _new_context  # type: ignore[method-assign]
    launcher.check_guarded = _check_nothing  # type: ignore[assignment, attr-defined]
    cli.main()
