"""Camoufox and Firefox: the only file that knows how each is found and launched."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from playwright.async_api import Browser, BrowserContext, Playwright

from captcha_bypass.browsers.fetching import (
    LogProgress,
    Tell,
    TerminalProgress,
    fetch_camoufox,
    fetch_command,
)
from captcha_bypass.browsers.reaper import Workspace
from captcha_bypass.config import Config
from captcha_bypass.errors import StartupError

logger = logging.getLogger(__name__)

#: Firefox preferences, the same for both engines.
PREFS: dict[str, str | float | bool] = {
    # Each context goes through a guard of its own; what belongs to none goes to a port where nobody
    # listens, whatever http_proxy says in the environment.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 1,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 1,
    # Never past the guard: not for loopback hosts, not by a list of exceptions, not when it fails,
    # not by WebRTC's UDP.
    "network.proxy.allow_hijacking_localhost": True,
    "network.proxy.no_proxies_on": "",
    "network.proxy.failover_direct": False,
    # Firefox's own services (remote settings, whose server release builds let nobody change) go
    # direct where a proxy fails, unless they may not.
    "network.proxy.allow_bypass": False,
    # The guard ends a plain request to what cannot be reached without an answer; ten attempts, the
    # default, would be ten lookups of a name that does not exist.
    "network.http.request.max-attempts": 2,
    "media.peerconnection.ice.proxy_only": True,
    # JSON as the site sent it, not inside the viewer's interface.
    "devtools.jsonview.enabled": False,
    # print() shows its dialog to nobody; while that is open there are no screenshots.
    "print.enabled": False,
    # No traffic of the browser's own: updates, telemetry, lists, portal checks, push, prefetch.
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.safebrowsing.update.enabled": False,
    "captivedetect.canonicalURL": "",
    "datareporting.healthreport.uploadEnabled": False,
    "dom.push.connection.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.predictor.enabled": False,
    "network.prefetch-next": False,
    "network.speculativeConnect.enabled": False,
    "services.settings.server": "",
    "toolkit.telemetry.enabled": False,
    # A page and its frames are one process, as in Playwright's own Firefox; tasks still never
    # share one, because Firefox keeps the processes of different contexts apart.
    "fission.webContentIsolationStrategy": 0,
    # No processes ahead of need: the pool makes pages ready by itself.
    "dom.ipc.processPrelaunch.enabled": False,
    "media.rdd-process.enabled": False,
    "media.utility-process.enabled": False,
    "extensions.webextensions.remote": False,
    # Nothing is kept of a page that is closed, and nothing is offered to a person at its windows.
    "browser.sessionhistory.max_total_viewers": 0,
    "browser.sessionstore.interval": 3_600_000,
    "browser.sessionstore.max_tabs_undo": 0,
    "browser.sessionstore.max_windows_undo": 0,
    "browser.sessionstore.resume_from_crash": False,
    "browser.cache.disk.enable": False,
    "browser.pagethumbnails.capturing_disabled": True,
    "places.history.enabled": False,
    "browser.newtab.preload": False,
    "browser.newtabpage.enabled": False,
    "browser.ml.enable": False,
    "browser.profiles.enabled": False,
    "browser.tabs.groups.enabled": False,
    "browser.tabs.hoverPreview.enabled": False,
    "browser.translations.enable": False,
    "extensions.formautofill.addresses.enabled": False,
    "extensions.formautofill.creditCards.enabled": False,
    "identity.fxaccounts.enabled": False,
    "sidebar.revamp": False,
    "signon.rememberSignons": False,
}

#: Ctrl+C reaches the driver too; it must leave the browsers to us, or running tasks would die.
SIGNALS_ARE_OURS: dict[str, Any] = {
    "handle_sigint": False,
    "handle_sigterm": False,
    "handle_sighup": False,
}


class Engine(Protocol):
    """A kind of browser: what it is called and how one is started."""

    name: str
    version: str
    #: Why this engine stands in for another; None in the normal case.
    warning: str | None
    #: Whether a context is made to fit the exit of a task's proxy, so that none can be made ahead.
    fits_exit: bool

    async def launch(
        self, playwright: Playwright, workspace: Workspace, env: dict[str, str], *, headless: bool
    ) -> Browser:
        """Start a browser whose processes carry `env`."""

    async def new_context(self, browser: Browser, guard: str, *, proxied: bool) -> BrowserContext:
        """Open an isolated context whose traffic all goes to `guard`, or fails.

        Args:
            guard: URL of an http proxy.
            proxied: Whether it goes on to a proxy of the task's, so that its exit is another.
        """


@dataclass
class Firefox:
    """An installed stock Firefox, driven through WebDriver BiDi."""

    executable: Path
    version: str
    warning: str | None = None
    name: str = "firefox"
    fits_exit: bool = False

    async def launch(
        self, playwright: Playwright, workspace: Workspace, env: dict[str, str], *, headless: bool
    ) -> Browser:
        """See Engine."""
        return await playwright.firefox.launch(
            channel="moz-firefox",
            executable_path=workspace.wrap(self.executable, "firefox"),
            headless=headless,
            # Nobody sees the toolbars of a window without a screen, but Firefox paints them.
            args=["--kiosk"] if headless else [],
            firefox_user_prefs=PREFS,
            env={**os.environ, **env},
            **SIGNALS_ARE_OURS,
        )

    async def new_context(self, browser: Browser, guard: str, *, proxied: bool) -> BrowserContext:
        """See Engine."""
        # Pages as large as their window: resizing it costs as much as a tenth of opening it.
        return await browser.new_context(
            accept_downloads=False, no_viewport=True, proxy={"server": guard}
        )


@dataclass
class Camoufox:
    """Camoufox, the default: a Firefox that looks like somebody's own browser."""

    version: str
    warning: str | None = None
    name: str = "camoufox"
    fits_exit: bool = True

    async def launch(
        self, playwright: Playwright, workspace: Workspace, env: dict[str, str], *, headless: bool
    ) -> Browser:
        """See Engine. Each launch draws a fingerprint."""
        from camoufox import DefaultAddons
        from camoufox.async_api import AsyncNewBrowser
        from camoufox.utils import launch_options

        def options() -> dict[str, Any]:
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
        browser = await AsyncNewBrowser(playwright, from_options=drawn)
        assert isinstance(browser, Browser)  # noqa: S101 - a context only if asked for one
        return browser

    async def new_context(self, browser: Browser, guard: str, *, proxied: bool) -> BrowserContext:
        """See Engine. A fingerprint of its own; with a proxy, time zone and IP are its exit's."""
        from camoufox.async_api import AsyncNewContext

        behind: Any = _BehindGuard(browser, guard)
        # Given a proxy, it asks the world for the address of its exit.
        proxy = {"server": guard} if proxied else None
        return await AsyncNewContext(behind, proxy=proxy, accept_downloads=False)


class _BehindGuard:
    """A browser as far as Camoufox' code for contexts needs one; all its contexts have a proxy."""

    def __init__(self, browser: Browser, guard: str) -> None:
        self._browser = browser
        self._guard = guard
        self.version = browser.version

    async def new_context(self, **options: Any) -> BrowserContext:  # noqa: ANN401 - Playwright's
        return await self._browser.new_context(**{**options, "proxy": {"server": self._guard}})


async def find_engine(config: Config, tell: Tell = lambda step: None) -> Engine:
    """Return the engine that the settings ask for, fetching Camoufox if need be.

    Args:
        tell: Told of each step of a fetch.

    Raises:
        StartupError: there is none; the message says what to run.
    """
    if config.browser == "firefox":
        return await asyncio.to_thread(find_firefox, config.browser_path)
    if not await asyncio.to_thread(_missing_camoufox):
        return await asyncio.to_thread(_installed_camoufox)
    reason = await _fetch(config, tell)
    if not await asyncio.to_thread(_missing_camoufox):
        return await asyncio.to_thread(_installed_camoufox)
    reason = reason or "its fetcher does not say why"
    if config.browser == "camoufox":
        raise StartupError(
            f"Camoufox is not installed and could not be fetched ({reason}); run "
            f"`{fetch_command()}` where GitHub can be reached, or use --browser firefox."
        )
    try:
        engine = await asyncio.to_thread(find_firefox, config.browser_path)
    except StartupError as error:
        raise StartupError(f"Camoufox could not be fetched ({reason}), and {error}") from None
    engine.warning = (
        f"Camoufox is not installed and could not be fetched ({reason}): running on stock Firefox, "
        f"which more sites recognise as automated. Run `{fetch_command()}`."
    )
    logger.warning("%s", engine.warning)
    return engine


async def _fetch(config: Config, tell: Tell) -> str:
    logger.warning("Camoufox is not installed: fetching it (about 500 MB with its data)")
    for_people = sys.stderr.isatty() and config.log_format == "text"
    return await fetch_camoufox(TerminalProgress() if for_people else LogProgress(), tell)


def find_firefox(path: Path | None) -> Firefox:
    """Return the Firefox at `path`, or the installed one; StartupError if it does not run."""
    found = path or next(
        (Path(p) for n in ("firefox-esr", "firefox") if (p := shutil.which(n))), None
    )
    if found is None:
        raise StartupError(
            "no Firefox is installed; run `apt-get install firefox-esr` or give --browser-path."
        )
    try:
        done = subprocess.run(
            [found.resolve(), "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartupError(
            f"{found} does not run ({error}); give a working --browser-path."
        ) from error
    version = re.search(r"Mozilla Firefox (\d[\w.]*)", done.stdout)
    if version is None:
        raise StartupError(f"{found} does not say that it is Firefox; give another --browser-path.")
    return Firefox(executable=found.resolve(), version=version.group(1))


def _missing_camoufox() -> bool:
    from camoufox import pkgman
    from camoufox.exceptions import CamoufoxNotInstalled, UnsupportedVersion

    try:
        with pkgman.console.capture():  # what it prints is not for our stdout
            pkgman.camoufox_path(download_if_missing=False)
    except (CamoufoxNotInstalled, UnsupportedVersion):
        return True
    return False


def _installed_camoufox() -> Camoufox:
    from camoufox.pkgman import installed_verstr

    # In this thread, so that the first launch need not hold up the event loop for it.
    import_module("camoufox.async_api")
    return Camoufox(version=installed_verstr())
