"""What a page shows: pictures that are only taken while somebody waits for one, and one for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from playwright.async_api import Error, Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from captcha_bypass.concurrency import Background, within

#: Seconds between two pictures: of a page that changes or that somebody uses, and of one that stands
#: still. A picture takes some 0.06 s, and 0.03 s of CPU (benchmarks/live_cost.py).
FAST_SECONDS, SLOW_SECONDS = 0.5, 1.0
#: Seconds after the last input in which a page counts as used.
USED_SECONDS = 3.0
#: Seconds that a picture may take: a page whose script spins gives none.
SHOT_SECONDS = 5.0
#: Seconds after one that was not to be had.
REST_SECONDS = 2.0
#: Of the JPEG: text can be read, and a page is some 60 kB.
QUALITY = 50


class PageBusy(Exception):
    """The page gives no picture, or takes no input, in time."""


class PageGone(Exception):
    """The page is closed, or its browser is dead."""


@dataclass(frozen=True)
class Frame:
    """One picture.

    Attributes:
        number: Grows with each picture that differs from the one before.
        width: CSS pixels, as is `height`.
    """

    number: int
    jpeg: bytes
    width: int
    height: int


class Screen:
    """The pictures of one page's viewport, which are the same for all who watch.

    Args:
        resized: Called when the page's pictures have another size than before.
    """

    def __init__(self, page: Page, resized: Callable[[], None]) -> None:
        self._page = page
        self._resized = resized
        self._background = Background()
        self._capture: asyncio.Task[None] | None = None
        self._waiting = 0
        #: The last picture.
        self.frame: Frame | None = None
        #: Pictures that were taken.
        self.taken = 0
        self._next_at = self._next_if_still_at = self._used_until = 0.0
        self._used = asyncio.Event()

    async def newer(self, number: int) -> Frame | None:
        """Return a picture newer than the one of a number, once the page shows something else.

        None: none is taken any more, see `close`.

        Raises:
            PageBusy: none is to be had now.
            PageGone: none will be any more.
        """
        while self.frame is None or self.frame.number <= number:
            if self._capture is None:
                self._capture = self._background.start(self._take())
            capture = self._capture
            self._waiting += 1
            try:
                await asyncio.wait({capture})
            finally:
                self._waiting -= 1
            if capture.cancelled():
                return None
            capture.result()
        return self.frame

    def use(self) -> None:
        """Note that somebody uses the page: what comes of it is to be seen soon."""
        self._used_until = asyncio.get_running_loop().time() + USED_SECONDS
        self._used.set()

    async def close(self) -> None:
        """Take no more pictures."""
        await self._background.close()

    async def _take(self) -> None:
        """Take the next picture when it is time, if anybody still waits for it then."""
        try:
            await self._pause()
            if self._waiting:
                self._look(await self._shot())
        finally:
            self._capture = None

    async def _pause(self) -> None:
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._next_at - clock()))
        if clock() < self._used_until:
            return
        self._used.clear()
        try:
            async with asyncio.timeout_at(self._next_if_still_at):
                await self._used.wait()
        except TimeoutError:
            return

    async def _shot(self) -> bytes:
        clock = asyncio.get_running_loop().time
        self._next_at = clock() + FAST_SECONDS
        self._next_if_still_at = clock() + SLOW_SECONDS
        # The viewport alone, and the text cursor as it is: hiding it costs two scripts in each frame.
        shot = self._page.screenshot(
            type="jpeg",
            quality=QUALITY,
            scale="css",
            caret="initial",
            timeout=SHOT_SECONDS * 1000,
        )
        try:
            return await within(SHOT_SECONDS + 1, shot)
        except (PlaywrightTimeout, TimeoutError):
            self._next_at = self._next_if_still_at = clock() + REST_SECONDS
            raise PageBusy from None
        except Error:
            if self._page.is_closed():
                raise PageGone from None
            # It navigates, or its browser has just died, of which we are told in a moment.
            raise PageBusy from None

    def _look(self, jpeg: bytes) -> None:
        self.taken += 1
        last = self.frame
        if last is not None and last.jpeg == jpeg:
            return
        if last is not None:
            self._next_if_still_at = self._next_at
        width, height = size_of(jpeg)
        self.frame = Frame(last.number + 1 if last else 1, jpeg, width, height)
        if last is None or (last.width, last.height) != (width, height):
            self._resized()


def size_of(jpeg: bytes) -> tuple[int, int]:
    """Return the width and height that a JPEG's header tells; (0, 0): none."""
    place = 2
    while place + 9 <= len(jpeg) and jpeg[place] == 0xFF:
        kind, length = jpeg[place + 1], int.from_bytes(jpeg[place + 2 : place + 4], "big")
        # Start of a frame, of whichever process; the three others in that range are tables.
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = jpeg[place + 5 : place + 7], jpeg[place + 7 : place + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        place += 2 + length
    return 0, 0
