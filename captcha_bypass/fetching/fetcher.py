"""Sends requests through one page, whose context has a site's clearance."""

from __future__ import annotations

import asyncio
import json
from binascii import a2b_base64, b2a_base64

from playwright.async_api import Page

from captcha_bypass.browsers.failures import translate
from captcha_bypass.concurrency import uninterrupted
from captcha_bypass.errors import CaptchaBypassError, InvalidRequest
from captcha_bypass.fetching.blank import open_blank
from captcha_bypass.fetching.border import PART, Border
from captcha_bypass.fetching.headers import as_page_sends, refusals
from captcha_bypass.fetching.messages import (
    Answer,
    AnswerTooLarge,
    AnswerUnreadable,
    Request,
    origin_of,
)
from captcha_bypass.fetching.slots import EVENT_SECONDS, Slot, Slots
from captcha_bypass.fetching.told import Told

#: As many connections as browsers open to a host.
MAX_AT_ONCE = 6
#: Requests after which a page should make room for another, for whatever may grow with them. Opening one takes
#: the CPU of dozens of requests, and leaves megabytes of garbage in the browser.
REQUESTS_PER_PAGE = 10_000
#: Parts of a body that cross the border at once: page, driver and service work side by side.
PARTS_AT_ONCE = 3
#: Seconds in which the browser tells why a compressed answer was broken off, if it was.
REASON_SECONDS = 1.0


class Fetcher:
    """Sends requests to one origin, through a page that shows nothing and runs nothing of the site.

    `page` is one of its own, fresh, in the context that has the clearance; whoever opened it closes it.

    Args:
        origin: As `origin_of` returns it.
        at_once: How many requests it sends at once; others wait their turn, in order.
    """

    def __init__(self, page: Page, origin: str, *, at_once: int = MAX_AT_ONCE) -> None:
        self.origin = origin
        self._turns = asyncio.Semaphore(at_once)
        self._border = Border(page)
        self._slots = Slots(self._border)
        self._sent = 0

    @property
    def is_worn(self) -> bool:
        """Whether another page should fetch from now on; this one still can."""
        return self._sent >= REQUESTS_PER_PAGE

    @property
    def is_spoilt(self) -> bool:
        """Whether the page cannot fetch any more."""
        return self._border.lost.done()

    async def open(self) -> None:
        """Make the page ready for `fetch`.

        Raises:
            PageSpoilt: the site's service worker does not let go of it, or it is gone.
            playwright.async_api.Error: it is gone.
        """
        await open_blank(self._border.page, self.origin)
        await self._border.open()

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
            slot = await self._slots.take()
            self._sent += 1
            try:
                async with asyncio.timeout(timeout):
                    answer = await self._fetch(slot, request, max_bytes)
            except BaseException:
                await uninterrupted(self._slots.drop(slot))
                raise
            self._slots.put(slot)
            return answer

    async def _fetch(self, slot: Slot, request: Request, max_bytes: int) -> Answer:
        given = request.body or b""
        for start in range(0, len(given), PART):
            upload = b2a_base64(given[start : start + PART], newline=False)
            await slot.ask("feed", upload.decode())
        text = await slot.ask("send", json.dumps(_asked(request, max_bytes)))
        head, _, base64 = text.partition("\n")
        told = Told.parse(head)
        if told.error is not None:
            raise await self._error(slot, told.error, max_bytes)
        body = bytearray(a2b_base64(base64))
        while len(body) < told.size:
            starts = range(len(body), told.size, PART)[:PARTS_AT_ONCE]
            for part in await asyncio.gather(*(slot.ask("take", start) for start in starts)):
                body += a2b_base64(part)
        url, status, headers = await slot.response(told)
        decoded = told.decoded if body else None
        return Answer(url, status, headers, bytes(body), decoded, told.seconds)

    async def _error(self, slot: Slot, error: str, max_bytes: int) -> CaptchaBypassError:
        if error == "large":
            return AnswerTooLarge(f"The answer is larger than {max_bytes} bytes.")
        if error == "taken":
            return self._border.spoil("a service worker of the site has the page", sent=False)
        failure = await slot.failure(EVENT_SECONDS if error == "network" else REASON_SECONDS)
        if failure is None and error == "encoding":
            # The browser has all of the answer, and cannot read it.
            return AnswerUnreadable("The answer is not compressed as Content-Encoding says.")
        return translate(failure or "")


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
    has_body = request.body is not None
    return {"url": request.url, "options": options, "hasBody": has_body, "most": max_bytes}
