"""Passes a person's mouse and keyboard on to a page, in order; what is typed is kept nowhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from playwright.async_api import Error, Page

from captcha_bypass.concurrency import Background, within
from captcha_bypass.human.messages import NAMED_KEYS, WITH_CONTROL, Input, Key, Mouse, Paste, Wheel

#: Inputs that may wait for a page that takes none.
MOST_WAITING = 200
#: Seconds that a page has for one; 10,000 characters take 0.1.
INPUT_SECONDS = 5.0


class NotTaken(Exception):
    """An input is not passed on.

    Attributes:
        code: Why, for programs.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


_BUSY = "page_busy", "The page is busy: what was done last has not reached it."
_GONE = "page_gone", "The page is gone."


class Inputs:
    """The inputs of one page.

    Args:
        used: Called after each that the page has taken.
        failed: Told of those that it has not.
    """

    def __init__(
        self, page: Page, used: Callable[[], None], failed: Callable[[NotTaken], None]
    ) -> None:
        self._page = page
        self._used = used
        self._failed = failed
        #: None: let go of whatever is held down.
        self._waiting: deque[Input | None] = deque()
        self._background = Background()
        self._is_running = False
        self._place: tuple[float, float] | None = None
        #: What is held down, in the order it was pressed.
        self._keys: dict[str, None] = {}
        self._button = False

    def put(self, item: Input) -> None:
        """Pass an input on, after those before it.

        Raises:
            NotTaken: it is none that is passed on, or too many wait.
        """
        self._check(item)
        if len(self._waiting) >= MOST_WAITING:
            raise NotTaken(*_BUSY)
        last = self._waiting[-1] if self._waiting else None
        if _is_move(item) and _is_move(last):
            self._waiting.pop()  # nothing happened between them
        self._waiting.append(item)
        self._run()

    def let_go(self) -> None:
        """Forget what waits, and let go of whatever is held down."""
        self._waiting.clear()
        self._waiting.append(None)  # what is under way may still press something
        self._run()

    async def close(self) -> None:
        """Pass nothing on any more."""
        await self._background.close()

    def _check(self, item: Input) -> None:
        if isinstance(item, Key):
            if item.key not in NAMED_KEYS and not _is_text(item.key):
                raise NotTaken("unknown_key", "That key is not passed on.")
            if item.action == "down" and self._has_control() and item.key not in WITH_CONTROL:
                raise NotTaken("unknown_key", "That key is not passed on with Control.")

    def _has_control(self) -> bool:
        held = "Control" in self._keys
        for item in self._waiting:
            if isinstance(item, Key) and item.key == "Control":
                held = item.action == "down"
        return held

    def _run(self) -> None:
        if not self._is_running and self._waiting:
            self._is_running = True
            self._background.run(self._pass_on(), self._stopped)

    def _stopped(self) -> None:
        self._is_running = False

    async def _pass_on(self) -> None:
        while self._waiting:
            item = self._waiting.popleft()
            try:
                await self._do(item)
            except TimeoutError:
                self._waiting.clear()
                self._failed(NotTaken(*_BUSY))
            except Error:
                # Its text may quote what was typed.
                self._waiting.clear()
                self._failed(NotTaken(*(_GONE if self._page.is_closed() else _BUSY)))
            else:
                self._used()

    async def _do(self, item: Input | None) -> None:
        if item is None:
            await self._release()
        elif isinstance(item, Key):
            await self._key(item)
        elif isinstance(item, Paste):
            await self._within(self._page.keyboard.insert_text(item.text))
        elif isinstance(item, Wheel):
            await self._move(item.x, item.y)
            await self._within(self._page.mouse.wheel(item.dx, item.dy))
        else:
            await self._mouse(item)

    async def _mouse(self, item: Mouse) -> None:
        await self._move(item.x, item.y)
        if item.action == "down" and not self._button:
            self._button = True
            await self._within(self._page.mouse.down(click_count=item.clicks))
        elif item.action == "up" and self._button:
            self._button = False
            await self._within(self._page.mouse.up(click_count=item.clicks))

    async def _move(self, x: float, y: float) -> None:
        if self._place != (x, y):
            self._place = x, y
            await self._within(self._page.mouse.move(x, y))

    async def _key(self, item: Key) -> None:
        keyboard = self._page.keyboard
        if _is_text(item.key):
            # Pressed and let go at once: by another name it may be let go, as "1" is that was "!".
            if item.action == "down":
                # Playwright knows the keys of an American keyboard.
                known = item.key.isascii()
                press = keyboard.press(item.key) if known else keyboard.insert_text(item.key)
                await self._within(press)
        elif item.action == "down":
            self._keys[item.key] = None
            await self._within(keyboard.down(item.key))
        elif item.key in self._keys:
            del self._keys[item.key]
            await self._within(keyboard.up(item.key))

    async def _release(self) -> None:
        for key in [*reversed(self._keys)]:
            del self._keys[key]
            await self._within(self._page.keyboard.up(key))
        if self._button:
            self._button = False
            await self._within(self._page.mouse.up())

    async def _within(self, work: Coroutine[Any, Any, None]) -> None:
        await within(INPUT_SECONDS, work)


def _is_text(key: str) -> bool:
    """Whether a key writes a character, and is never held down for long as the space bar may be."""
    return len(key) == 1 and key.isprintable() and key != " "


def _is_move(item: Input | None) -> bool:
    return isinstance(item, Mouse) and item.action == "move"
