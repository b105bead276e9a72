"""Before a browser gets its first task: does all it opens really go through its guard?"""

from __future__ import annotations

import asyncio

from playwright.async_api import Browser, Error

from captcha_bypass import status
from captcha_bypass.browsers.launch.engines import Engine
from captcha_bypass.egress.guards import Egress
from captcha_bypass.errors import TaskError, Unguarded

#: Addresses of this machine, for which browsers by default do not ask a proxy.
ADDRESSES = ("http://127.0.0.1", "https://localhost")


async def check_guarded(engine: Engine, browser: Browser, egress: Egress) -> None:
    """Open addresses of this machine, which the guard refuses, and see who was asked.

    Raises:
        Unguarded: the browser went there by itself.
        TaskError: `browser_unavailable`: it went nowhere at all, so nothing is known.
    """
    reached = 0

    def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal reached
        reached += 1
        writer.transport.abort()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    guard = await egress.guard(counts=status.Egress())  # not a task's: nothing for the operator
    try:
        port = server.sockets[0].getsockname()[1]
        urls = [f"{address}:{port}/" for address in ADDRESSES]
        context = await engine.new_context(browser, guard.url)
        page = await context.new_page()
        for url in urls:
            try:
                await page.goto(url, wait_until="commit", timeout=0)
            except Error:
                continue  # refused, as it should be
        await context.close()
        refused = [url for url in urls if guard.failure(url) is not None]
    finally:
        await guard.close()
        server.close()
    if reached:
        raise Unguarded(
            f"{engine.name} {engine.version} does not send everything through its proxy, so pages "
            "could reach this machine; use another version of the browser (--browser, "
            "--browser-path)."
        )
    if refused != urls:
        message = "it could not be checked that the browser goes through its proxy"
        raise TaskError("browser_unavailable", message)
