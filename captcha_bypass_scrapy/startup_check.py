"""Whether the service can be used at all, seen when the spider opens and not at its first challenge."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp

from captcha_bypass_scrapy.answers import describe, message_of

if TYPE_CHECKING:
    from captcha_bypass_scrapy.connection import Connection
    from captcha_bypass_scrapy.reporting import Reporter
    from captcha_bypass_scrapy.settings import Config

#: Seconds for the answer. Nothing waits for it: the crawl begins meanwhile.
CHECK_SECONDS = 10.0


class StartupCheck:
    """Asks the service once; `close` ends that."""

    def __init__(self, connection: Connection, config: Config, reporter: Reporter) -> None:
        self._connection = connection
        self._config = config
        self._reporter = reporter
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Ask, beside the crawl; for the signal `spider_opened`."""
        self._task = asyncio.create_task(self.run())

    async def close(self) -> None:
        """End it, wherever it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def run(self) -> None:
        """Ask for the service's description, and tell in one line what is wrong, or that nothing is."""
        shown = self._connection.shown
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                status, answer, _ = await self._connection.call("GET", "/openapi.json")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            silent = f"no answer from the service at {shown} ({describe(error)}); is it running?"
            self._reporter.unusable(silent, for_good=False)
            return
        wrong = self._wrong(status, answer)
        if wrong is None:
            self._reporter.usable(shown, str(answer["info"].get("version")))
        else:
            self._reporter.unusable(wrong, for_good=status < 500)

    def _wrong(self, status: int, answer: dict[str, Any]) -> str | None:
        """Return what a person has to change, or None."""
        if status == 401:
            return (
                "the service refuses the API key; set CAPTCHA_BYPASS_API_KEY to the service's key"
            )
        info = answer.get("info")
        if status != 200 or not isinstance(info, dict) or info.get("title") != "captcha-bypass":
            asked = f"GET {self._connection.shown}/openapi.json"
            said = f", {message_of(answer)}" if "error" in answer else ""
            return f"{asked} was answered {status}{said}; is CAPTCHA_BYPASS_URL right?"
        most = _longest_timeout(answer)
        if most is not None and self._config.timeout_seconds > most:
            return (
                f"CAPTCHA_BYPASS_TIMEOUT is {self._config.timeout_seconds:g} s, and the service takes at "
                f"most {most:g}; lower it, or raise the service's --max-timeout"
            )
        return None


def _longest_timeout(description: dict[str, Any]) -> float | None:
    """Return the service's --max-timeout in seconds; None if it does not say."""
    found: object = description
    for name in ("components", "schemas", "SolveRequest", "properties", "timeout", "maximum"):
        found = found.get(name) if isinstance(found, dict) else None
    return float(found) if isinstance(found, int | float) else None
