"""Camoufox and Firefox: the only file that knows how each is found and launched."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
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
from captcha_bypass.browsers.places import may_write
from captcha_bypass.browsers.preferences import FIREFOX_PREFS, PREFS
from captcha_bypass.browsers.reaper import Workspace
from captcha_bypass.config import Config
from captcha_bypass.errors import StartupError

logger = logging.getLogger(__name__)

#: Seconds in which a program must say its version; 0.2 s is normal.
VERSION_SECONDS = 30.0

#: Ctrl+C reaches the driver too; it must leave the browsers to us, or running tasks would die.
SIGNALS_ARE_OURS: dict[str, Any] = {
    "handle_sigint": False,
    "handle_sigterm": False,
    "handle_sighup": False,
}


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
    #: Whether a context gets the time zone of a proxy's exit.
    fits_exit: bool
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
    fits_exit: bool = False
    # 0.3 s and 0.05 s are normal, 2 s and 0.4 s on a machine that is overloaded.
    pace: Pace = Pace(open_seconds=15.0, close_seconds=1.5)

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
    fits_exit: bool = True
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


async def find_engine(config: Config, tell: Tell = lambda step: None) -> Engine:
    """Return the engine that the settings ask for, fetching Camoufox if need be.

    Args:
        tell: Told of each step of a fetch.

    Raises:
        StartupError: there is none; the message says what to run.
    """
    if config.browser == "firefox":
        return await _find_firefox(config.browser_path)
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
        engine = await _find_firefox(config.browser_path)
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


async def _find_firefox(path: Path | None) -> Firefox:
    """Find it beside the event loop; a program that hangs is killed if this is cancelled."""
    asked: list[subprocess.Popen[str]] = []
    try:
        return await asyncio.to_thread(find_firefox, path, asked.append)
    except asyncio.CancelledError:
        for process in asked:
            _kill_group(process)
        raise


def find_firefox(
    path: Path | None, on_start: Callable[[subprocess.Popen[str]], None] = lambda process: None
) -> Firefox:
    """Return the Firefox at `path`, or the installed one; StartupError if it does not run.

    Args:
        on_start: Given the process that is asked for its version, which leads a group of its own.
    """
    found = path or next(
        (Path(p) for n in ("firefox-esr", "firefox") if (p := shutil.which(n))), None
    )
    if found is None:
        raise StartupError(
            "no Firefox is installed; run `apt-get install firefox-esr` or give --browser-path."
        )
    try:
        said = _ask_version(found.resolve(), on_start)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartupError(
            f"{found} does not run ({error}); give a working --browser-path."
        ) from error
    version = re.search(r"Mozilla Firefox (\d[\w.]*)", said)
    if version is None:
        raise StartupError(f"{found} does not say that it is Firefox; give another --browser-path.")
    return Firefox(executable=found.resolve(), version=version.group(1))


def _ask_version(program: Path, on_start: Callable[[subprocess.Popen[str]], None]) -> str:
    with subprocess.Popen(
        [program, "--version"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        on_start(process)
        try:
            return process.communicate(timeout=VERSION_SECONDS)[0]
        finally:
            _kill_group(process)


def _kill_group(process: subprocess.Popen[str]) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


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
