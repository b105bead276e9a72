"""The frames of a page that fetch, and what the browser tells of the requests in each."""

from __future__ import annotations

import asyncio

from playwright._impl._api_structures import NameValue
from playwright.async_api import Error, Frame, Request, Response

from captcha_bypass.concurrency import uninterrupted
from captcha_bypass.fetching.border import Border
from captcha_bypass.fetching.messages import Headers
from captcha_bypass.fetching.told import Told

#: Seconds in which a page opens a frame, and the browser tells of what its page already knows; 0.01 s is
#: normal.
EVENT_SECONDS = 3.0
#: Seconds in which an aborted request must be gone from the page, or the page is given up; 0.01 s is normal.
ABORT_SECONDS = 1.5
#: Firefox's code for what ends with its page, or by an abort of ours.
_ABORTED = "NS_BINDING_ABORTED"


class Slot:
    """A frame, with one request at a time: a request is known by its frame, whatever its address."""

    def __init__(self, name: int, frame: Frame, border: Border) -> None:
        self.name = name
        self.frame = frame
        self._border = border
        self._responses: list[Response] = []
        #: Firefox's code of why there is no answer.
        self._failure: str | None = None
        #: Done with the next thing that the browser tells, while somebody waits for it.
        self._news: asyncio.Future[None] | None = None

    async def ask(self, name: str, *args: object) -> str:
        """Call a function of `fetch.js` for this slot."""
        return await self._border.ask(name, self.name, *args)

    def begin(self) -> None:
        """Forget the last request."""
        self._responses.clear()
        self._failure = None

    def add_response(self, response: Response) -> None:
        """Take what the browser tells of an answer."""
        self._responses.append(response)
        self._has_news()

    def add_failure(self, code: str) -> None:
        """Take what the browser tells of a request without an answer."""
        self._failure = code
        self._has_news()

    async def response(self, told: Told) -> tuple[str, int, Headers]:
        """Return URL, status and headers of an answer that the page has, as the browser tells them.

        Raises:
            PageSpoilt: nothing.
        """
        try:
            async with asyncio.timeout(EVENT_SECONDS):
                while (response := self._response(told)) is None:
                    await self._heard()
        except TimeoutError:
            raise self._border.spoil("the browser tells of no answer", sent=True) from None
        headers = told.exact((item["name"], item["value"]) for item in _headers(response))
        return response.url, response.status, headers

    async def failure(self, seconds: float) -> str | None:
        """Return the browser's code for a request that failed; None: it tells none.

        Raises:
            PageSpoilt: the page has ended.
        """
        try:
            async with asyncio.timeout(seconds):
                while self._failure is None:
                    await self._heard()
        except TimeoutError:
            return None
        if _ABORTED in self._failure:  # and not by us, or nobody would ask
            raise self._border.spoil("the page is gone", sent=True)
        return self._failure

    def _response(self, told: Told) -> Response | None:
        # The last one: the browser may have sent the request again by itself.
        return next((r for r in reversed(self._responses) if told.fits(r.status)), None)

    def _has_news(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _heard(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        await self._border.until(self._news)


def _headers(response: Response) -> list[NameValue]:
    """Return all headers, which Firefox tells with the event of an answer, in both its protocols.

    `Response.headers_array` would ask the driver for the same once more.
    """
    told: list[NameValue] = response._impl_obj._provisional_headers.headers_array()
    return told


class Slots:
    """The slots of a page; `take` one, and `put` it back or `drop` it."""

    def __init__(self, border: Border) -> None:
        self._border = border
        self._opening = asyncio.Lock()
        self._idle: list[Slot] = []
        self._by_frame: dict[Frame, Slot] = {}
        self._names = 0
        border.page.on("response", self._on_response)
        border.page.on("requestfailed", self._on_failed)

    async def take(self) -> Slot:
        """Return a slot that has no request.

        Raises:
            PageSpoilt: the page is gone.
        """
        if self._border.lost.done():
            raise self._border.spoil("the page is gone", sent=False)
        while not self._idle:
            # To its end, or the next frame would be taken for that of another slot.
            await uninterrupted(self._open())
        slot = self._idle.pop()
        slot.begin()
        return slot

    def put(self, slot: Slot) -> None:
        """Take a slot back whose request has its whole answer."""
        self._idle.append(slot)

    async def drop(self, slot: Slot) -> None:
        """End a slot and its request, for the site as well.

        Word of that request may still come, and must not be taken for the next one's.
        """
        self._by_frame.pop(slot.frame, None)
        if not self._border.lost.done():
            await self._border.tell("drop", slot.name, seconds=ABORT_SECONDS)

    async def _open(self) -> None:
        page = self._border.page
        async with self._opening:  # so that the next frame is this one's
            attached: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()

            def on_attached(frame: Frame) -> None:
                if not attached.done():
                    attached.set_result(frame)

            page.on("frameattached", on_attached)
            try:
                self._names += 1
                name = self._names
                async with asyncio.timeout(EVENT_SECONDS):
                    await self._border.ask("open", name)
                    await self._border.until(attached)
            except TimeoutError:
                raise self._border.spoil("the page opens no frame", sent=False) from None
            finally:
                page.remove_listener("frameattached", on_attached)
        slot = Slot(name, attached.result(), self._border)
        self._by_frame[slot.frame] = slot
        self._idle.append(slot)

    def _on_response(self, response: Response) -> None:
        if slot := self._of(response.request):
            slot.add_response(response)

    def _on_failed(self, request: Request) -> None:
        if slot := self._of(request):
            slot.add_failure(request.failure or "")

    def _of(self, request: Request) -> Slot | None:
        try:
            return self._by_frame.get(request.frame)
        except Error:
            return None  # a service worker's request has no frame
