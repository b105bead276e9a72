"""The Firefox that tests start: new profiles get what Firefox keeps of itself from start to start.

Half of a start's CPU (1.5 of 3 s) goes into compiling the scripts of Firefox's own windows and into
filling its services' tables, which every new profile lacks. Here that is done once: a program first
on PATH copies it into the profile it is given, and becomes Firefox. Nothing of a page is in it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shlex
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from captcha_bypass.browsers.launch.preferences import FIREFOX_PREFS
from tests.support.repository import ROOT

#: Kept from run to run; the program is in it, and is to be found before the installed one.
FOLDER = ROOT / ".pytest_cache" / "firefox"
_PROGRAM = FOLDER / "firefox-esr"
#: Of a profile. Firefox uses its compiled scripts only where the first file names its own build.
_KEPT = ("compatibility.ini", "startupCache", "storage.sqlite", "storage")
_SCRIPT = """#!/bin/sh
# {made_for}
last= profile=
for word; do
  case "$last" in -profile|--profile) profile=$word ;; esac
  last=$word
done
[ -z "$profile" ] || cp -r {kept}/. "$profile" 2>/dev/null
exec {installed} "$@"
"""


def installed_firefox() -> Path | None:
    """Return the program of the Firefox that is installed; None where none is."""
    places = os.environ["PATH"].split(os.pathsep)
    path = os.pathsep.join(place for place in places if place != str(FOLDER))
    found = shutil.which("firefox-esr", path=path) or shutil.which("firefox", path=path)
    return Path(found).resolve() if found else None


def use_warm_firefox() -> None:
    """Put it on this process's PATH, made anew after each update; whoever comes second waits."""
    installed = installed_firefox()
    if installed is None:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    made_for = f"{installed} {installed.stat().st_mtime_ns}"
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _PROGRAM.exists() or made_for not in _PROGRAM.read_text():
            asyncio.run(_make(installed, made_for))
    os.environ["PATH"] = f"{FOLDER}{os.pathsep}{os.environ['PATH']}"


async def _make(installed: Path, made_for: str) -> None:
    from playwright.async_api import async_playwright  # most tests that import this need none

    kept = FOLDER / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    with TemporaryDirectory() as name:
        profile = Path(name)
        async with async_playwright() as playwright:
            context = await playwright.firefox.launch_persistent_context(
                profile,
                channel="moz-firefox",
                executable_path=installed,
                args=["--kiosk"],
                firefox_user_prefs=dict(FIREFOX_PREFS),
            )
            await context.new_page()
            await context.close()
        kept.mkdir()
        for part in _KEPT:
            if (profile / part).is_dir():
                shutil.copytree(profile / part, kept / part)
            else:
                shutil.copy(profile / part, kept / part)
    words = {"installed": shlex.quote(str(installed)), "kept": shlex.quote(str(kept))}
    _PROGRAM.write_text(_SCRIPT.format(made_for=made_for, **words))
    _PROGRAM.chmod(0o755)
