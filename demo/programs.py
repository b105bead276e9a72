"""Programs that the demo starts, shows the output of, and stops again in order."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

START_TIMEOUT = 900.0  # the service may have to download a browser first


STOP_TIMEOUT = 20.0


ADDRESS = re.compile(rb"http://127\.0\.0\.1:\d+(?=\D)")


class DemoError(Exception):
    """A step did not do what it promises; the message says which, and what was seen instead."""


def say(line: str) -> None:
    """Print one line at once, in order with what the started programs print."""
    print(line, flush=True)


@asynccontextmanager
async def running(name: str, *arguments: str) -> AsyncIterator[URL]:
    """Run `python ARGUMENTS` for as long as the block lasts; yields the address it listens on."""
    say(f"\n==> Starting the {name}")
    # A session of its own: Ctrl+C reaches this program alone, which then stops the others in order.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-u",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    echo: asyncio.Task[None] | None = None
    try:
        try:
            async with asyncio.timeout(START_TIMEOUT):
                address = await _listening_address(process, name)
        except TimeoutError:
            raise DemoError(f"the {name} did not listen within {START_TIMEOUT:.0f} s") from None
        echo = asyncio.create_task(_echo(process))
        yield address
    finally:
        await uninterrupted(stop(process, name))
        if echo is not None:
            echo.cancel()
            await asyncio.wait([echo])


async def _listening_address(process: asyncio.subprocess.Process, name: str) -> URL:
    seen = b""
    while chunk := await _output(process):
        seen = (seen + chunk)[-2000:]
        if found := ADDRESS.search(seen):
            return URL(found[0].decode())
    code = await process.wait()
    raise DemoError(f"the {name} ended with exit code {code} before it listened")


async def _echo(process: asyncio.subprocess.Process) -> None:
    while await _output(process):
        pass


async def _output(process: asyncio.subprocess.Process) -> bytes:
    """Read what the program printed and print it too, as it comes: progress has no line ends."""
    assert process.stdout is not None
    chunk = await process.stdout.read(4096)
    sys.stdout.write(chunk.decode(errors="replace"))
    sys.stdout.flush()
    return chunk


async def stop(process: asyncio.subprocess.Process, name: str) -> None:
    """End a program, by force where it takes longer than STOP_TIMEOUT seconds; says which."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            code = await process.wait()
        say(f"==> Stopped the {name} (exit code {code})")
    except TimeoutError:
        process.kill()
        await process.wait()
        say(f"==> Killed the {name}: it did not stop within {STOP_TIMEOUT:.0f} s")


async def uninterrupted(clean_up: Coroutine[Any, Any, None]) -> None:
    """Wait until a clean-up is over; a Ctrl+C on the way takes effect after it."""
    task = asyncio.create_task(clean_up)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
