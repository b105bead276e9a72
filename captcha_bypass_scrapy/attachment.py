"""Puts clearances on requests when they go to the site, and takes them off when they are back."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from captcha_bypass.challenges import is_clearance
from captcha_bypass_scrapy import outcome, request_state
from captcha_bypass_scrapy.cookies import set_name, text_of
from captcha_bypass_scrapy.keys import SiteKey, key_of
from captcha_bypass_scrapy.options import options_of, wanted, wants_page

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from captcha_bypass_scrapy.clearance import Attached, Clearance, Clearances
    from captcha_bypass_scrapy.settings import Config
    from captcha_bypass_scrapy.ways import Ways


class Attachments:
    """Attaches clearances at the last moment, when a request reaches the downloader.

    By then cookie jars, random user-agents and rotating proxies have done their work, so cookies,
    user-agent and proxy belong together. A request may wait in its download slot for long
    (DOWNLOAD_DELAY): where a clearance changes meanwhile, the new one is attached.
    """

    def __init__(
        self, crawler: Crawler, config: Config, clearances: Clearances, ways: Ways
    ) -> None:
        self._crawler = crawler
        self._config = config
        self._clearances = clearances
        self._ways = ways
        #: All requests in the downloader, and what was attached to them.
        self._inside: WeakKeyDictionary[Request, Attached | None] = WeakKeyDictionary()
        #: Set-Cookie headers that no cookie jar shall keep.
        self._taken: WeakKeyDictionary[Request, list[bytes]] = WeakKeyDictionary()
        clearances.changed = self._attach_anew

    def attach(self, request: Request) -> None:
        """Attach the clearance; for the signal `request_reached_downloader`."""
        if not wanted(request):
            return
        options = options_of(request, self._config)
        if not (wants_page(request, options) or self._ways.by_browser(request, options)):
            self._inside[request] = self._attached(request)

    def downloaded(self, request: Request, response: Response) -> None:
        """Note which clearance was carried, before anybody else sees the response.

        A renewed clearance is taken out of it: a cookie jar would carry it to other proxies. For
        the signal `response_downloaded`.
        """
        attached = self._inside.get(request)
        if attached is None:
            return
        request_state.note_carried(request, attached.generation)
        key = key_of(request)
        clearance = self._clearances.current(key)
        headers = response.headers.getlist(b"Set-Cookie")
        if clearance is None or not headers:
            return
        ours = [header for header in headers if _belongs(header, clearance)]
        if ours:
            self._taken[request] = ours
            left = [header for header in headers if header not in ours]
            response.headers.pop(b"Set-Cookie")
            if left:
                response.headers.setlist(b"Set-Cookie", left)
        if 300 <= response.status < 400:  # other responses pass `process_response`
            carried = request_state.carried(request)
            self.follow(key, request.url, carried, ours, succeeded=False)

    def detach(self, request: Request) -> None:
        """Detach the clearance, so that no other middleware sees or keeps it.

        For the signal `request_left_downloader`.
        """
        attached = self._inside.pop(request, None)
        if attached is not None:
            attached.detach(request)

    def restore_cookies(self, request: Request, response: Response) -> list[bytes]:
        """Put back the Set-Cookie headers that `downloaded` took out, and return them."""
        taken = self._taken.pop(request, [])
        if taken:
            others = response.headers.getlist(b"Set-Cookie")
            response.headers.setlist(b"Set-Cookie", [*others, *taken])
        return taken

    def tell(self, request: Request) -> None:
        """Tell the callback of a request that went out with a clearance whose that is."""
        clearance = self._clearances.current(key_of(request))
        if clearance is not None:
            outcome.tell(request, clearance.vendor, clearance.seconds, "cookies")

    def follow(
        self,
        key: SiteKey,
        url: str,
        carried: tuple[int, ...],
        headers: list[bytes],
        *,
        succeeded: bool,
    ) -> None:
        """Take over what a site has rotated its clearance to, if the request carried that.

        Args:
            headers: The Set-Cookie headers that came with the answer to `url`.
            succeeded: Whether that was a page.
        """
        clearance = self._clearances.current(key)
        if clearance is None or clearance.generation not in carried:
            return
        if succeeded:
            clearance.successes += 1
        if headers and clearance.rotate(url, [text_of(header) for header in headers]):
            self._attach_anew()

    def _attached(self, request: Request) -> Attached | None:
        if not self._clearances:
            return None
        clearance = self._clearances.current(key_of(request))
        return clearance.attach(request) if clearance is not None else None

    def _attach_anew(self) -> None:
        for request, attached in list(self._inside.items()):
            if self._on_the_wire(request):
                continue
            if attached is not None:
                attached.detach(request)
            self._inside[request] = self._attached(request)

    def _on_the_wire(self, request: Request) -> bool:
        try:
            slot = self._crawler.engine.downloader.slots.get(request.meta.get("download_slot", ""))
            return slot is None or request in slot.transferring
        except AttributeError:  # another DOWNLOADER
            return True


def _belongs(header: bytes, clearance: Clearance) -> bool:
    name = set_name(header)
    return is_clearance(name, clearance.vendor) or any(c.name == name for c in clearance.cookies)
