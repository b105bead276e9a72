"""Camoufox and Firefox: how each is launched, and how a page of it is opened."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from playwright.async_api import Browser, BrowserContext, Playwright

from captcha_bypass.browsers.launch.folders import may_write
from captcha_bypass.browsers.launch.preferences import FIREFOX_PREFS, PREFS
from captcha_bypass.browsers.launch.workspace import Workspace

#: Ctrl+C reaches the driver too; it must leave the browsers to us, or running tasks would die.
SIGNALS_ARE_OURS: dict[str, Any] = {
    "handle_sigint": False,
    "handle_sigterm": False,
    "handle_sighup": False,
}
#: Firefox lays toolbars out and paints them also where they are not on the screen.
_NO_TOOLBARS = Path(__file__).with_name("no_toolbars")


@dataclass(frozen=True)
class Pace:
    """How long a browser of some kind may take before it counts as hanging."""

    #: Seconds for a context and its page.
    open_seconds: float
    #: Seconds for a page, a context or the browser to close, before the browser is killed.
    close_seconds: float


class Engine(Protocol):
    """A kind of browser: what it is called and how one is started."""

    name: str
    version: str
    #: Why this engine stands in for another; None in the normal case.
    warning: str | None
    #: Whether a page gets the time zone of the address that its proxy goes out by.
    fits_time_zone: bool
    pace: Pace

    async def launch(
        self, playwright: Playwright, workspace: Workspace, env: dict[str, str], *, headless: bool
    ) -> Browser:
        """Start a browser whose processes carry `env`."""

    async def new_context(
        self, browser: Browser, guard: str, *, time_zone: str | None = None
    ) -> BrowserContext:
        """Open an isolated context whose traffic all goes to `guard`, or fails.

        Args:
            guard: URL of an http proxy.
            time_zone: IANA name; None: as the browser has it.
        """


@dataclass
class Firefox:
    """An installed stock Firefox, driven through WebDriver BiDi."""

    executable: Path
    version: str
    warning: str | None = None
    name: str = "firefox"
    fits_time_zone: bool = False
    # 0.3 s and 0.05 s are normal, 2 s and 0.4 s on a machine that is overloaded.
    pace: Pace = Pace(open_seconds=15.0, close_seconds=1.5)

    async def launch(
        self, playwright: Playwright, workspace: Workspace, env: dict[str, str], *, headless: bool
    ) -> Browser:
        """See Engine."""
        return await playwright.firefox.launch(
            channel="moz-firefox",
            executable_path=workspace.wrap(
                self.executable, "firefox", chrome=_NO_TOOLBARS if headless else None
            ),
            headless=headless,
            # Nobody sees the toolbars of a window without a screen: it is all page.
            args=["--kiosk"] if headless else [],
            firefox_user_prefs=FIREFOX_PREFS,
            env={**os.environ, **env},
            **SIGNALS_ARE_OURS,
        )

    async def new_context(
        self, browser: Browser, guard: str, *, time_zone: str | None = None
    ) -> BrowserContext:
        """See Engine."""
        # Pages as large as their window: resizing it costs as much as a tenth of opening it.
        return await browser.new_context(
            accept_downloads=False, no_viewport=True, proxy={"server": guard}, timezone_id=time_zone
        )


@dataclass
class Camoufox:
    """Camoufox, the default: a Firefox that looks like somebody's own browser."""

    version: str
    warning: str | None = None
    name: str = "camoufox"
    fits_time_zone: bool = True
    # Its protocol opens windows one after another, and closing waits for the window: inferred from
    # its sources, not measured, so it gets twice the time and more.
    pace: Pace = Pace(open_seconds=30.0, close_seconds=4.0)

    async def launch(
        self, playwright: Playwright, workspace: Workspace, env: dict[str, str], *, headless: bool
    ) -> Browser:
        """See Engine. Each launch draws an identity, which all its pages have."""
        from camoufox import DefaultAddons
        from camoufox.utils import (
            attach_no_viewport_default,
            attach_stock_media_defaults,
            launch_options,
        )

        def options() -> dict[str, Any]:
            _keep_lists_of_fonts_in(workspace.path)
            drawn: dict[str, Any] = launch_options(
                headless=headless,
                firefox_user_prefs=dict(PREFS),
                env={**os.environ, **env},
                # uBlock would be downloaded at start, and a challenge may look for it.
                exclude_addons=[DefaultAddons.UBO],
                **SIGNALS_ARE_OURS,
            )
            return drawn

        # launch_options reads files and draws for some 100 ms: not on the event loop.
        drawn = await asyncio.to_thread(options)
        drawn["executable_path"] = str(workspace.wrap(Path(drawn["executable_path"]), "camoufox"))
        # Not by the package's AsyncNewBrowser, which gives the browser no more cores than its
        # identity says, and launches one after another for that.
        browser = await playwright.firefox.launch(**drawn)
        # Playwright's viewport would be larger than the window that was drawn, or wait for a size
        # that never comes; its media features would not be those of the machine.
        attach_no_viewport_default(browser)
        attach_stock_media_defaults(browser)
        return browser

    async def new_context(
        self, browser: Browser, guard: str, *, time_zone: str | None = None
    ) -> BrowserContext:
        """See Engine. Plain: a second identity drawn for it would contradict the browser's."""
        return await browser.new_context(
            accept_downloads=False, proxy={"server": guard}, timezone_id=time_zone
        )


def _keep_lists_of_fonts_in(folder: Path) -> None:
    """Let the package write its lists of fonts there, if it cannot beside its builds.

    It writes one at each launch, also where the builds are another user's or on a read-only root.
    """
    from camoufox import pkgman, utils

    if not may_write(pkgman.INSTALL_DIR / "fontconfig"):
        setattr(utils, "INSTALL_DIR", folder)  # noqa: B010 - it does not say that it has one
