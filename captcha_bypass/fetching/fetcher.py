"""Sends requests through one page, whose context has a site's clearance."""

from __future__ import annotations

import asyncio
import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Coroutine
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from playwright.async_api import Error, Frame, Page, Response
from playwright.async_api import Request as Sent

from captcha_bypass.browsers.failures import translate
from captcha_bypass.concurrency import uninterrupted, within
from captcha_bypass.errors import CaptchaBypassError, InvalidRequest
from captcha_bypass.fetching.blank import open_blank
from captcha_bypass.fetching.headers import as_page_sends, refusals
from captcha_bypass.fetching.messages import (
    Answer,
    AnswerTooLarge,
    AnswerUnreadable,
    PageSpoilt,
    Request,
    origin_of,
)
from captcha_bypass.fetching.told import Told

T = TypeVar("T")

#: As many connections as browsers open to a host.
MAX_AT_ONCE = 6
#: Bytes of a body that cross the page's border at once. As base64 they stay below what the link to the
#: driver parses beside the event loop.
PART = 360 * 1024
#: Seconds in which an aborted request must be gone from the page, or the page is given up; 0.01 s is normal.
ABORT_SECONDS = 1.0
#: Seconds in which the browser tells of an answer that its page already has; 0.01 s is normal.
EVENT_SECONDS = 3.0

#: Seconds in which it tells why a compressed answer was broken off, if it was.
REASON_SECONDS = 1.0

_ABORTED = "NS_BINDING_ABORTED"
_NO_REASON = "no reason was told"
_CALL = "([name, args]) => captchaBypass[name](...args)"


@cache
def _program() -> str:
    return (files("captcha_bypass.fetching") / "fetch.js").read_text(encoding="utf-8")


class _Slot:
    """A frame of the page with one request at a time, and what the browser tells of it."""

    def __init__(self, name: int, frame: Frame) -> None:
        self.name = name
        self.frame = frame
        self.responses: list[Response] = []
        #: Firefox's code of why there is no answer.
        self.failure: str | None = None
        #: Done as soon as there is more, while somebody waits for that.
        self.told: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Forget the last request."""
        self.responses.clear()
        self.failure = None

    def hear(self) -> None:
        """Tell whoever waits that there is more."""
        if self.told is not None and not self.told.done():
            self.told.set_result(None)

    def response_of(self, told: Told) -> Response | None:
        """Return what the browser has told of an answer; the last, if it has asked again by itself."""
        return next((r for r in reversed(self.responses) if told.fits(r.status)), None)


class Fetcher:
    """Sends requests to one origin, through a page that shows nothing and runs nothing of the site.

    `page` is one of its own, fresh, in the context that has the clearance; whoever opened it closes it.

    Args:
        origin: As `origin_of` returns it.
        at_once: How many requests it sends at once; others wait their turn, in order.
    """

    def __init__(self, page: Page, origin: str, *, at_once: int = MAX_AT_ONCE) -> None:
        self.origin = origin
        self._page = page
        self._turns = asyncio.Semaphore(at_once)
        self._opening = asyncio.Lock()
        self._idle: list[_Slot] = []
        self._slots: dict[Frame, _Slot] = {}
        self._names = 0
        #: Calls of Playwright, which must not be cancelled, whatever becomes of their callers.
        self._calls: set[asyncio.Task[Any]] = set()
        self._lost = asyncio.get_running_loop().create_future()

    @property
    def is_spoilt(self) -> bool:
        """Whether the page cannot fetch any more."""
        return self._lost.done()

    async def open(self) -> None:
        """Make the page ready for `fetch`.

        Raises:
            PageSpoilt: the site's service worker does not let go of it.
            playwright.async_api.Error: the page is gone.
        """
        await open_blank(self._page, self.origin)
        await self._page.evaluate(_program(), PART)
        page = self._page
        page.on("response", self._on_response)
        page.on("requestfailed", self._on_failed)
        page.on("framenavigated", self._on_navigated)
        page.on("crash", self._spoil)
        page.on("close", self._spoil)

    async def fetch(self, request: Request, *, timeout: float, max_bytes: int) -> Answer:
        """Send a request once, and return what the site answers, whatever its status.

        A caller that is cancelled ends the request at the site, too.

        Args:
            timeout: Seconds to the answer's last byte, from its turn on.
            max_bytes: Of the answer's body, decoded.

        Raises:
            InvalidRequest: a page cannot send it.
            TimeoutError: the answer is not there in time.
            TaskError: the site cannot be reached, or broke off; the code says which.
            AnswerTooLarge: see `max_bytes`; the rest was not loaded.
            AnswerUnreadable: it is not compressed as it says.
            PageSpoilt: another page must be used.
        """
        if fields := refusals(request):
            raise InvalidRequest(fields)
        if origin_of(request.url) != self.origin:
            raise ValueError(f"this page is for {self.origin}")
        async with self._turns:
            slot = await self._slot()
            try:
                async with asyncio.timeout(timeout):
                    answer = await self._fetch(slot, request, max_bytes)
            except BaseException:
                # Word of this request may still come, and must not be taken for the next one's.
                await uninterrupted(self._drop(slot))
                raise
            self._idle.append(slot)
            return answer

    async def _fetch(self, slot: _Slot, request: Request, max_bytes: int) -> Answer:
        slot.begin()
        for start in range(0, len(request.body or b""), PART):
            part = (request.body or b"")[start : start + PART]
            await self._ask("feed", slot.name, b2a_base64(part, newline=False).decode())
        text = await self._ask("send", slot.name, json.dumps(_asked(request, max_bytes)))
        head, _, base64 = text.partition("\n")
        told = Told.parse(head)
        if told.error is not None:
            raise await self._error(slot, told.error, max_bytes)
        body = bytearray(a2b_base64(base64))
        while len(body) < told.size:
            body += a2b_base64(await self._ask("take", slot.name, len(body)))
        response = await self._response(slot, told)
        sent = await self._run(response.headers_array())
        headers = told.exact((item["name"], item["value"]) for item in sent)
        decoded = told.decoded if body else None
        return Answer(response.url, response.status, headers, bytes(body), decoded, told.seconds)

    async def _response(self, slot: _Slot, told: Told) -> Response:
        """Return the browser's own word of an answer, which has all its headers."""
        try:
            async with asyncio.timeout(EVENT_SECONDS):
                while (response := slot.response_of(told)) is None:
                    await self._heard(slot)
                return response
        except TimeoutError:
            self._spoil()
            raise PageSpoilt("the browser does not tell of the answer", sent=True) from None

    async def _error(self, slot: _Slot, error: str, max_bytes: int) -> CaptchaBypassError:
        if error == "large":
            return AnswerTooLarge(f"The answer is larger than {max_bytes} bytes.")
        if error == "taken":
            self._spoil()
            return PageSpoilt("a service worker of the site has the page", sent=False)
        try:
            async with asyncio.timeout(EVENT_SECONDS if error == "network" else REASON_SECONDS):
                while slot.failure is None:
                    await self._heard(slot)
        except TimeoutError:
            # The browser has all of a compressed answer, and cannot read it.
            if error == "encoding":
                return AnswerUnreadable("The answer is not compressed as Content-Encoding says.")
            slot.failure = _NO_REASON
        if _ABORTED in slot.failure:  # not by us, so by the page's end
            self._spoil()
            return _gone()
        return translate(slot.failure)

    async def _heard(self, slot: _Slot) -> None:
        """Return once the browser tells something of the slot's request."""
        slot.told = asyncio.get_running_loop().create_future()
        await asyncio.wait({slot.told, self._lost}, return_when=asyncio.FIRST_COMPLETED)
        if self._lost.done():
            raise _gone()

    async def _slot(self) -> _Slot:
        if self.is_spoilt:
            raise _gone(sent=False)
        if self._idle:
            return self._idle.pop()
        async with self._opening:
            attached = asyncio.get_running_loop().create_future()

            def on_attached(frame: Frame) -> None:
                if not attached.done():
                    attached.set_result(frame)

            self._page.on("frameattached", on_attached)
            try:
                self._names += 1
                await self._ask("open", self._names)
                await asyncio.wait(
                    {attached, self._lost},
                    timeout=EVENT_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                self._page.remove_listener("frameattached", on_attached)
            if not attached.done():
                self._spoil()
                raise PageSpoilt("the page opens no frame", sent=False)
            slot = _Slot(self._names, attached.result())
            self._slots[slot.frame] = slot
            return slot

    async def _drop(self, slot: _Slot) -> None:
        self._slots.pop(slot.frame, None)
        if self.is_spoilt:
            return
        try:
            await within(ABORT_SECONDS, self._page.evaluate(_CALL, ["drop", [slot.name]]))
        except Exception:  # noqa: BLE001 - a dead driver raises plain Exception
            self._spoil()

    async def _ask(self, name: str, *args: object) -> str:
        """Return what a function of `fetch.js` returns."""
        return str(await self._run(self._page.evaluate(_CALL, [name, list(args)])))

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a call of Playwright, but no longer than the page lives, and never cancel it."""
        call = asyncio.ensure_future(work)
        self._calls.add(call)
        call.add_done_callback(self._called)
        await asyncio.wait({call, self._lost}, return_when=asyncio.FIRST_COMPLETED)
        if not call.done():
            raise _gone()
        try:
            return call.result()
        except Exception as error:
            self._spoil()
            raise _gone() from error

    def _called(self, call: asyncio.Task[Any]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # retrieved: its caller may be gone

    def _spoil(self, _: object = None) -> None:
        if not self._lost.done():
            self._lost.set_result(None)

    def _on_navigated(self, frame: Frame) -> None:
        if frame == self._page.main_frame:
            self._spoil()

    def _on_response(self, response: Response) -> None:
        if slot := self._slot_of(response.request):
            slot.responses.append(response)
            slot.hear()

    def _on_failed(self, sent: Sent) -> None:
        if slot := self._slot_of(sent):
            slot.failure = sent.failure or _NO_REASON
            slot.hear()

    def _slot_of(self, sent: Sent) -> _Slot | None:
        try:
            return self._slots.get(sent.frame)
        except Error:
            return None  # a service worker's request has no frame


def _gone(*, sent: bool = True) -> PageSpoilt:
    return PageSpoilt("the page is gone", sent=sent)


def _asked(request: Request, max_bytes: int) -> dict[str, object]:
    headers, referrer = as_page_sends(request.headers)
    options: dict[str, object] = {
        "method": request.method,
        "headers": headers,
        "referrer": referrer,
        "redirect": "manual",
    }
    if request.method.upper() in ("GET", "HEAD"):
        # Only the site answers, and not what the browser has kept.
        options["cache"] = "no-store"
    return {
        "url": request.url,
        "options": options,
        "hasBody": request.body is not None,
        "most": max_bytes,
    }
