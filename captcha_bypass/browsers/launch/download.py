"""Fetching Camoufox with its own fetcher, told in lines of ours."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

logger = logging.getLogger(__name__)

#: Seconds for all of it: 500 MB at some 300 kB a second.
FETCH_SECONDS = 1800.0
#: Characters of one line of the fetcher that are looked at, and of a reason that is passed on.
MAX_LINE_CHARS = 2000
MAX_REASON_CHARS = 300
#: Seconds between two updates of a progress line.
TICK_SECONDS = 1.0
#: What the fetcher (camoufox 0.5) says at the beginning of a step, and what the step is.
_STEPS = (
    ("Syncing repositories", "looking up the release"),
    ("Downloading package", "downloading the browser"),
    ("Extracting Camoufox", "unpacking the browser"),
    ("Downloading fpgen model", "downloading the fingerprint model"),
    ("Downloading GeoLite", "downloading the GeoIP database"),
    ("Downloading addon", "downloading add-ons"),
)

#: What stands behind the cause in an error of requests.
_QUOTES = "'\")"

#: Told of each step as it begins.
Tell = Callable[[str], None]


def fetch_command() -> str:
    """Return the command for a person's shell that fetches Camoufox for this very interpreter."""
    return f"{shlex.quote(sys.executable)} -m camoufox fetch"


class Progress(Protocol):
    """Where the steps are shown."""

    def step(self, text: str) -> None:
        """Show that a step begins."""

    def tick(self) -> None:
        """Show that it goes on."""

    def end(self) -> None:
        """Show that the last one has ended."""


class LogProgress:
    """One log line a step."""

    def step(self, text: str) -> None:
        """See Progress."""
        logger.info("fetching Camoufox: %s", text)

    def tick(self) -> None:
        """See Progress: a log has no lines that change."""

    def end(self) -> None:
        """See Progress."""


class TerminalProgress:
    """One line a step on a terminal, with the seconds it has taken, which count up."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._text = ""
        self._began = 0.0

    def step(self, text: str) -> None:
        """See Progress."""
        self.end()
        self._text, self._began = text, self._clock()
        self.tick()

    def tick(self) -> None:
        """See Progress."""
        if self._text:
            seconds = self._clock() - self._began
            line = f"\r\x1b[KFetching Camoufox: {self._text}, {seconds:.0f} s"
            print(line, end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """See Progress."""
        if self._text:
            print(file=sys.stderr, flush=True)
        self._text = ""


async def fetch_camoufox(progress: Progress, tell: Tell) -> str:
    """Run Camoufox's fetcher; return why it failed, as far as it says, or "".

    Its exit code is 0 also when it got nothing: whoever asks looks for the browser itself.
    Cancelling it kills the fetcher.
    """
    reason = ""
    try:
        async with asyncio.timeout(FETCH_SECONDS), _fetcher() as process:
            ticking = asyncio.create_task(_tick(progress))
            try:
                async for line in _lines(process):
                    step = next((step for mark, step in _STEPS if line.startswith(mark)), None)
                    if step is not None:
                        tell(step)
                        progress.step(step)
                    reason = reason or _reason(line)
                await process.wait()
            finally:
                ticking.cancel()
                await asyncio.wait({ticking})
    except TimeoutError:
        reason = f"it was not done within {FETCH_SECONDS:.0f} s"
    except OSError as error:
        reason = f"the fetcher cannot be run: {error.strerror}"
    finally:
        progress.end()
    return reason


@asynccontextmanager
async def _fetcher() -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "camoufox", "fetch"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        # As wide as that, no message of its is folded.
        env={**os.environ, "COLUMNS": str(MAX_LINE_CHARS), "NO_COLOR": "1", "TERM": "dumb"},
        # Ctrl+C is for us to hear; we end it.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[str]:
    """Yield what a process prints, line by line, each cut to MAX_LINE_CHARS."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    rest = b""
    while chunk := await process.stdout.read(4096):
        *whole, rest = re.split(rb"[\r\n]", rest + chunk)
        for line in whole:
            yield _cleaned(line)
        rest = rest[:MAX_LINE_CHARS]
    yield _cleaned(rest)


def _cleaned(line: bytes) -> str:
    text = line[:MAX_LINE_CHARS].decode(errors="replace")
    return "".join(char for char in text if char.isprintable()).strip()


async def _tick(progress: Progress) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        progress.tick()


def _reason(line: str) -> str:
    """Return what a line says of a failure, without the login of a proxy; "" if it says nothing."""
    _, found, text = line.partition("Error: ")
    if not found:
        return ""
    if "Max retries exceeded" in text and "host='" in text:
        host = text.partition("host='")[2].partition("'")[0]
        text = f"{host} cannot be reached: {text.rpartition(': ')[2].rstrip(_QUOTES)}"
    words = (word.rpartition("@")[2] if "@" in word else word for word in text.split())
    return " ".join(words)[:MAX_REASON_CHARS]
