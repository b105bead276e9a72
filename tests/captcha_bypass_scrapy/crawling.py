"""Runs crawls and hands back what came of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.captcha_bypass_scrapy import run
from tests.support.forked import Forked
from tests.support.service import eventually

MIDDLEWARE = "captcha_bypass_scrapy.CaptchaBypassMiddleware"
#: What every crawl of the tests has; the rest is Scrapy's own default.
SETTINGS: dict[str, Any] = {
    "DOWNLOADER_MIDDLEWARES": {MIDDLEWARE: 585},
    "TELNETCONSOLE_ENABLED": False,
    "LOG_LEVEL": "DEBUG",
    "USER_AGENT": "the-spider/1.0",
}
RequestLike = str | dict[str, Any]


@dataclass
class Crawled:
    """What a crawl left behind."""

    rows: list[dict[str, Any]]
    stats: dict[str, Any]
    log: str
    exit_code: int | None

    @property
    def items(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if "error" not in row]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if "error" in row]

    def own_stats(self) -> dict[str, Any]:
        """The stats of the middleware, without prefix and without times."""
        prefix = "captcha_bypass/"
        return {
            name.removeprefix(prefix): value
            for name, value in self.stats.items()
            if name.startswith(prefix) and "seconds" not in name
        }

    def lines(self, *parts: str) -> list[str]:
        """The log lines that have all the parts."""
        return [line for line in self.log.splitlines() if all(part in line for part in parts)]


class Running:
    """A crawl under way."""

    def __init__(self, process: Forked, folder: Path) -> None:
        self._process = process
        self._folder = folder

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def rows(self) -> list[dict[str, Any]]:
        file = self._folder / "items.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def interrupt(self) -> None:
        """Press Ctrl+C."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, as the kernel does where memory is short."""
        self._process.kill()

    async def until_logged(self, text: str, seconds: float = 60) -> None:
        assert await eventually(lambda: text in self.log, seconds), self.log[-2000:]

    async def finished(self, seconds: float = 90) -> Crawled:
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
        stats = self._folder / "stats.json"
        return Crawled(
            self.rows(),
            json.loads(stats.read_text()) if stats.exists() else {},
            self.log,
            self._process.returncode,
        )


class Crawler:
    """Starts crawls, each in a folder of its own.

    Args:
        service: Address of the service, or None to set none.
    """

    def __init__(self, tmp: Path, service: str | None) -> None:
        self._tmp = tmp
        self.service = service
        self._count = 0

    async def __call__(
        self, requests: Iterable[RequestLike], *, spider: str = "Crawl", **settings: object
    ) -> Crawled:
        """Crawl to the end."""
        running = await self.start(requests, spider=spider, **settings)
        return await running.finished()

    async def start(
        self, requests: Iterable[RequestLike], *, spider: str = "Crawl", **settings: object
    ) -> Running:
        """Start a crawl."""
        self._count += 1
        folder = self._tmp / f"crawl-{self._count}"
        folder.mkdir()
        listed = [r if isinstance(r, dict) else {"url": r} for r in requests]
        url = {} if self.service is None else {"CAPTCHA_BYPASS_URL": self.service}
        merged = {**SETTINGS, **url, **settings}
        plan = {"spider": spider, "requests": listed, "settings": merged}
        (folder / "plan.json").write_text(json.dumps(plan))
        env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        return Running(Forked(run.main, folder, env=env, log=folder / "log"), folder)
