"""Pages that wait for a person, without a browser: they show what a test says, and note what is done."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from playwright.async_api import Error, Page

from captcha_bypass.human.waits import Waits
from captcha_bypass.tasks.base import JsonDict
from tests.support.native_tasks import SOLUTION

WIDTH, HEIGHT = 400, 300


def jpeg(text: str, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """Return the head of a JPEG, and a text in place of its picture."""
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return b"\xff\xd8\xff\xe0\x00\x04xx\xff\xc0\x00\x0b\x08" + size + b"\x01" + text.encode()


@dataclass
class FakePage:
    """What Screen and Inputs use of a page."""

    shown: bytes = jpeg("first")
    shots: int = 0
    #: Inputs that have begun, and what was done with it.
    begun: int = 0
    done: list[tuple[Any, ...]] = field(default_factory=list)
    #: Set while it answers.
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    def __post_init__(self) -> None:
        self.answers.set()
        self.mouse = self.keyboard = self

    @property
    def page(self) -> Page:
        return cast("Page", self)

    def is_closed(self) -> bool:
        return self.closed

    def show(self, text: str) -> None:
        self.shown = jpeg(text)

    async def screenshot(self, **how: Any) -> bytes:  # noqa: ANN401
        assert (how["type"], how["scale"]) == ("jpeg", "css")
        self.shots += 1
        await self._answer()
        return self.shown

    async def move(self, x: float, y: float) -> None:
        await self._note("move", x, y)

    async def down(self, key: str = "mouse", *, click_count: int = 0) -> None:
        await self._note("down", key, click_count)

    async def up(self, key: str = "mouse", *, click_count: int = 0) -> None:
        await self._note("up", key, click_count)

    async def press(self, key: str) -> None:
        await self._note("press", key)

    async def wheel(self, dx: float, dy: float) -> None:
        await self._note("wheel", dx, dy)

    async def insert_text(self, text: str) -> None:
        await self._note("insert", text)

    async def _note(self, *what: Any) -> None:  # noqa: ANN401
        self.begun += 1
        await self._answer()
        self.done.append(what)

    async def _answer(self) -> None:
        await self.answers.wait()
        if self.closed:
            raise Error("Target page, context or browser has been closed: CANARY-typed")


class WaitingTasks:
    """A handler whose tasks all wait for a person, and end as the test says."""

    waits: Waits

    def __init__(self) -> None:
        self.pages: dict[str, FakePage] = {}

    async def __call__(self, task_id: str, payload: JsonDict) -> JsonDict:
        page = self.pages[task_id] = FakePage()
        owner = payload.get("owner", "")
        async with self.waits.open(task_id, owner, "site.test", "turnstile", page.page) as wait:
            await wait.ended.wait()
            return {"data": {**SOLUTION, "timeout_reached": wait.ending != "solved"}}
