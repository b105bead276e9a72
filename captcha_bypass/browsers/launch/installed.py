"""Which browser is installed: found, asked for its version, and Camoufox fetched where it is missing."""

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
from importlib import import_module
from pathlib import Path

from captcha_bypass.browsers.launch.download import (
    LogProgress,
    Tell,
    TerminalProgress,
    fetch_camoufox,
    fetch_command,
)
from captcha_bypass.browsers.launch.engines import Camoufox, Engine, Firefox
from captcha_bypass.config import Config
from captcha_bypass.errors import StartupError

logger = logging.getLogger(__name__)

#: Seconds in which a program must say its version; 0.2 s is normal.
VERSION_SECONDS = 30.0


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
