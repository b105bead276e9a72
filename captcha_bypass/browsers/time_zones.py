"""The time zones of the addresses that proxies go out by: a page's zone agrees with where it comes from."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
from collections import OrderedDict
from collections.abc import Callable

import aiohttp

from captcha_bypass.concurrency import Background
from captcha_bypass.egress.guards import Egress
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination
from captcha_bypass.egress.upstream import Upstream

logger = logging.getLogger(__name__)

#: Answers with the address that asks, as text; the first that Camoufox' own `public_ip` asks.
SERVICE = "https://api.ipify.org/"
#: Seconds that the question may take; a task waits for it once per proxy.
ASK_SECONDS = 5.0
#: Seconds for which an answer holds, also none: rotating proxies change their address.
KEEP_SECONDS = 600.0
#: Proxies whose answers are kept; those that give each task a login of its own have any number.
MAX_KEPT = 1000
#: An address in text is 45 characters at most.
ANSWER_BYTES = 64


class TimeZones:
    """Knows the time zones of proxies: each proxy is asked once, and not for each task.

    Args:
        egress: Guards the question like what a page asks.
        background: Runs the question; a task that is cancelled leaves it to the others.
        service: URL that answers with the address that asks.
        locate: Tells an address' time zone; reads files. None: it does not know.
    """

    def __init__(
        self,
        egress: Egress,
        background: Background,
        *,
        service: str = SERVICE,
        locate: Callable[[str], str | None] | None = None,
    ) -> None:
        self._egress = egress
        self._background = background
        self._service = service
        self._locate = locate or time_zone_of
        self._clock = asyncio.get_running_loop().time
        #: Those asked, the oldest first, and until when the answer holds.
        self._asked: OrderedDict[Upstream, tuple[asyncio.Task[str | None], float]] = OrderedDict()

    async def of(self, proxy: Upstream) -> str | None:
        """Return the IANA name of the zone of the address a proxy goes out by; None if unknown."""
        asked, until = self._asked.get(proxy, (None, 0.0))
        if asked is None or asked.cancelled() or self._clock() >= until:
            self._asked.pop(proxy, None)
            asked = self._background.start(self._ask(proxy))
            self._asked[proxy] = asked, self._clock() + KEEP_SECONDS
            if len(self._asked) > MAX_KEPT:
                self._asked.popitem(last=False)
        return await asyncio.shield(asked)

    async def _ask(self, proxy: Upstream) -> str | None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                address = await self._address(proxy)
            zone = await asyncio.to_thread(self._locate, address)
            reason = "its address is in no GeoIP database; run `python -m camoufox fetch`"
        except Exception as error:  # noqa: BLE001 - whatever fails, the task goes on without
            zone, reason = None, f"its address cannot be had ({type(error).__name__})"
        if zone is None:
            logger.warning(
                "the exit of a proxy is unknown, so pages keep this machine's time zone: %s",
                reason,
                extra={"host": str(proxy.destination)},
            )
        return zone

    async def _address(self, proxy: Upstream) -> str:
        guard = await self._egress.guard()
        try:
            guard.admit(Permit(Destination.of(self._service), proxy))
            async with (
                aiohttp.ClientSession(trust_env=False) as session,
                session.get(self._service, proxy=guard.url, allow_redirects=False) as response,
            ):
                response.raise_for_status()
                text = await response.content.read(ANSWER_BYTES)
        finally:
            await guard.close()
        return str(ipaddress.ip_address(text.decode("ascii").strip()))


def time_zone_of(address: str) -> str | None:
    """Return the time zone of an address by the GeoIP database that Camoufox' package fetched.

    Unlike the package's own lookup it never downloads. It reads files.
    """
    import maxminddb
    from camoufox.geolocation import get_mmdb_path, load_geoip_config

    config = load_geoip_config()
    path = get_mmdb_path("ipv6" if ":" in address else "ipv4", config)
    if not path.exists():
        return None
    with maxminddb.open_database(path) as reader:
        found: object = reader.get(address)
    for step in str(config["paths"]["timezone"]).split("."):
        found = found.get(step) if isinstance(found, dict) else None
    # What the browser does not take would fail the task.
    known = isinstance(found, str) and re.fullmatch(r"[A-Za-z_]+(/[\w+-]+){1,2}", found)
    return str(found) if known else None
