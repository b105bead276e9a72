"""From a destination to an open connection: checked, then directly or through the task's proxy."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohappyeyeballs import start_connection

from captcha_bypass.egress import upstream as proxies
from captcha_bypass.egress.addresses import Address, is_public, without_zone
from captcha_bypass.egress.resolver import AddrInfo, Resolver
from captcha_bypass.egress.rules import Destination, Rules
from captcha_bypass.egress.upstream import Streams, Upstream
from captcha_bypass.errors import TaskError

#: Seconds to establish a connection, a proxy's login included.
CONNECT_SECONDS = 30.0
#: Seconds until the next address of a host is tried beside the last (RFC 8305, section 5).
NEXT_ADDRESS_SECONDS = 0.25
#: Destinations of which a task's addresses are kept; a page may name any number.
MAX_KNOWN = 1000
#: The longest head of a request: a browser's cookies for one host, and a long URL.
HEAD_BYTES = 256 * 1024


@dataclass(frozen=True)
class Permit:
    """What one task may do: the host it names may be private, its proxy carries everything."""

    named: Destination
    upstream: Upstream | None = None


class Journey:
    """Where the tasks of one context have been."""

    #: Whether something was reached that is not private, or that a proxy alone knows.
    was_abroad = False


class Router:
    """Opens connections for one task, each to an address that was checked.

    A name is resolved once: what it resolves to later changes nothing.

    Args:
        resolver: Resolves names, for all tasks.
        permit: None: nothing private, no proxy.
        journey: That of its context, whose earlier connections may go on beside; default: its own.
    """

    def __init__(
        self,
        rules: Rules,
        resolver: Resolver,
        permit: Permit | None = None,
        journey: Journey | None = None,
    ) -> None:
        self._rules = rules
        self._lookups = resolver.lookups()
        self._named = None if permit is None else permit.named
        #: The proxy that everything goes through.
        self.upstream = None if permit is None else permit.upstream
        self._known: dict[Destination, list[AddrInfo]] = {}
        self._journey = journey or Journey()

    async def names_private(self) -> bool:
        """Whether the host that the task names is private; what it is now counts from here on."""
        named = self._named
        if named is None:
            return False
        try:
            if self.upstream is not None:
                self._rules.check_unresolved(named, named=False)
            else:
                addresses = await self._resolve(named, named=True)
                self._rules.check(named, _addresses(addresses), named=False)
        except TaskError as error:
            if error.code == "blocked_address":
                return True
            self._named = None  # who knows what it is next time
        return False

    def check(self, destination: Destination) -> None:
        """Refuse what can be seen to be private before a proxy is asked for it.

        Raises:
            TaskError: `blocked_address`.
        """
        self._rules.check_unresolved(destination, named=destination == self._named)

    async def open(self, destination: Destination) -> Streams:
        """Open a connection to a destination, through the proxy if there is one.

        Raises:
            TaskError: `blocked_address`, `dns_error`, `connection_refused`, `navigation_error` or
                `proxy_error`.
        """
        proxy = self.upstream
        if proxy is None:
            named = destination == self._named
            addresses = await self._resolve(destination, named=named)
            if any(map(is_public, _addresses(addresses))):
                self._journey.was_abroad = True
            return await _dial(addresses)
        self._journey.was_abroad = True
        self.check(destination)
        return await self._through(proxy, destination)

    async def to_proxy(self, proxy: Upstream, destination: Destination) -> Streams:
        """Open a connection to the task's http or https proxy itself, for plain http requests.

        Raises:
            TaskError: `blocked_address` or `proxy_error`.
        """
        self._journey.was_abroad = True
        self.check(destination)
        return await self._through(proxy, None)

    async def _through(self, proxy: Upstream, destination: Destination | None) -> Streams:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                streams = await _dial_proxy(await self._resolve_proxy(proxy))
                try:
                    if proxy.scheme == "https":
                        await proxies.start_tls(proxy, streams[1])
                    if destination is not None:
                        ask = proxies.ask_http_proxy if proxy.is_http else proxies.ask_socks_proxy
                        await ask(proxy, streams, destination)
                except BaseException:
                    streams[1].transport.abort()
                    raise
                return streams
        except TimeoutError:
            raise proxies.unreachable() from None

    async def _resolve_proxy(self, proxy: Upstream) -> list[AddrInfo]:
        try:
            # Named by the task, like its own host, or by the operator.
            return await self._resolve(proxy.destination, named=True, trusted=proxy.trusted)
        except TaskError as error:
            if error.code == "blocked_address":
                raise TaskError("blocked_address", f"The proxy: {error}") from None
            message = (
                "The proxy's host name cannot be resolved; check proxy.server (or --proxy-url)."
            )
            raise TaskError("proxy_error", message) from None

    async def _resolve(
        self, destination: Destination, *, named: bool, trusted: bool = False
    ) -> list[AddrInfo]:
        found = self._known.get(destination)
        if found is None:
            found = await self._lookups.resolve(destination)
            if not trusted:
                self._rules.check(destination, _addresses(found), named=named)
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()  # what is asked for again is checked again
            # Two lookups of one name at once: whichever is first counts.
            found = self._known.setdefault(destination, found)
        return found


def _addresses(found: list[AddrInfo]) -> list[Address]:
    return [without_zone(str(info[4][0])) for info in found]


async def _dial_proxy(addresses: list[AddrInfo]) -> Streams:
    try:
        return await _dial(addresses)
    except TaskError:
        raise proxies.unreachable() from None


async def _dial(addresses: list[AddrInfo]) -> Streams:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            sock = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS)
    except TimeoutError:
        message = f"The site did not answer a connection within {CONNECT_SECONDS:.0f} s."
        raise TaskError("navigation_error", message) from None
    except OSError:
        message = "The site refused the connection; check host and port."
        raise TaskError("connection_refused", message) from None
    return await asyncio.open_connection(sock=sock, limit=HEAD_BYTES)
