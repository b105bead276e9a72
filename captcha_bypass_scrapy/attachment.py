"""Clearances on requests: on when they leave for the wire, off when they come back."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from captcha_bypass_scrapy import request_state
from captcha_bypass_scrapy.cookies import set_name, vendors_own
from captcha_bypass_scrapy.handler import key_of, page_wanted
from captcha_bypass_scrapy.settings import wanted

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from captcha_bypass_scrapy.clearance import Clearance, Clearances, Worn
    from captcha_bypass_scrapy.settings import Config


class Wardrobe:
    """Attaches the clearances at the last point before the wire.

    There cookie jars, random user-agents and rotating proxies have had their say, so cookies,
    user-agent and exit belong together. A request may wait in its download slot for long
    (DOWNLOAD_DELAY): it is dressed anew when a clearance changes meanwhile.
    """

    def __init__(self, crawler: Crawler, config: Config, clearances: Clearances) -> None:
        self._crawler = crawler
        self._config = config
        self._clearances = clearances
        #: All requests in the downloader, and what they wear.
        self._inside: WeakKeyDictionary[Request, Worn | None] = WeakKeyDictionary()
        #: Set-Cookie headers that no cookie jar shall keep.
        self._taken: WeakKeyDictionary[Request, list[bytes]] = WeakKeyDictionary()
        clearances.changed = self._dress_anew

    def dress(self, request: Request) -> None:
        """Attach the clearance; for the signal `request_reached_downloader`."""
        if wanted(request) and not page_wanted(request, self._config):
            self._inside[request] = self._worn(request)

    def downloaded(self, request: Request, response: Response) -> None:
        """Note what was carried, before anybody else sees the response.

        A renewed clearance is taken out of it: a cookie jar would carry it to the other exits. For
        the signal `response_downloaded`.
        """
        worn = self._inside.get(request)
        if worn is None:
            return
        request_state.carry(request, worn.generation)
        clearance = self._clearances.current(key_of(request))
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
            self.follow(request, request_state.carried(request), ours, succeeded=False)

    def undress(self, request: Request) -> None:
        """Detach the clearance: nobody behind us gets to see or keep it.

        For the signal `request_left_downloader`.
        """
        worn = self._inside.pop(request, None)
        if worn is not None:
            worn.undress(request)

    def give_back(self, request: Request, response: Response) -> list[bytes]:
        """Return the cookies that were taken out, which the spider may see again."""
        taken = self._taken.pop(request, [])
        if taken:
            others = response.headers.getlist(b"Set-Cookie")
            response.headers.setlist(b"Set-Cookie", [*others, *taken])
        return taken

    def follow(
        self, request: Request, carried: tuple[int, ...], headers: list[bytes], *, succeeded: bool
    ) -> None:
        """Take over what the site has rotated the clearance to, if the request carried it."""
        clearance = self._clearances.current(key_of(request))
        if clearance is None or clearance.generation not in carried:
            return
        if succeeded:
            clearance.successes += 1
        if headers and clearance.follow(request.url, [h.decode("latin-1") for h in headers]):
            self._dress_anew()

    def _worn(self, request: Request) -> Worn | None:
        if not self._clearances:
            return None
        clearance = self._clearances.current(key_of(request))
        return clearance.dress(request) if clearance is not None else None

    def _dress_anew(self) -> None:
        for request, worn in list(self._inside.items()):
            if self._on_the_wire(request):
                continue
            if worn is not None:
                worn.undress(request)
            self._inside[request] = self._worn(request)

    def _on_the_wire(self, request: Request) -> bool:
        try:
            slot = self._crawler.engine.downloader.slots.get(request.meta.get("download_slot", ""))
            return slot is None or request in slot.transferring
        except AttributeError:  # another DOWNLOADER
            return True


def _belongs(header: bytes, clearance: Clearance) -> bool:
    name = set_name(header)
    return vendors_own(name, clearance.vendor) or any(c.name == name for c in clearance.cookies)
