"""Who may be reached: the public internet, and what a task was allowed by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

from captcha_bypass.egress.addresses import (
    Address,
    is_local_name,
    is_public,
    literal,
    unmapped,
    without_zone,
)
from captcha_bypass.errors import TaskError

_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(
    r"(?:\[([0-9A-Fa-f:.]++)\]|([^\s\x00-\x1f\x7f:/?#@\[\]]++))(?::([0-9]{1,5}+))?"
)


class Destination(NamedTuple):
    """A host, in lower case and without brackets, and a port."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Destination:
        """Take it out of an http or https URL."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0))

    @classmethod
    def parse(cls, authority: str, default_port: int | None = None) -> Destination:
        """Parse `host:port`, `[::1]:port`, or either without port if there is a default.

        Raises:
            ValueError: it is none of these.
        """
        match = _AUTHORITY.fullmatch(authority)
        port = int(match[3]) if match and match[3] else default_port
        if match is None or port is None or not 0 < port < 65536:
            raise ValueError("is not host:port")
        return cls((match[1] or match[2]).lower(), port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class AllowedHost:
    """One `--allow-private-host`: a name or address, with or without port, or a network."""

    host: str | None = None
    port: int | None = None
    network: IPv4Network | IPv6Network | None = None

    @classmethod
    def parse(cls, text: str) -> AllowedHost:
        """Parse `host`, `host:port` or CIDR.

        Raises:
            ValueError: it is none of these.
        """
        if "/" in text:
            try:
                return cls(network=ip_network(text))
            except ValueError:
                raise ValueError(
                    "a network must be written like 10.0.0.0/8, without bits beyond its length"
                ) from None
        address = literal(text)
        if address is not None:  # IPv6 without brackets, too
            return cls(host=str(address))
        try:
            host, port = Destination.parse(text, default_port=1)
        except ValueError:
            raise ValueError("must be host, host:port or a network like 10.0.0.0/8") from None
        has_port = re.search(r":\d+$", text) is not None
        return cls(host=str(literal(host) or host), port=port if has_port else None)

    def allows(self, destination: Destination, address: Address | None) -> bool:
        """Whether it names that destination, or a network that the address is in."""
        if self.network is not None:
            return address is not None and address in self.network
        return self.host == destination.host and self.port in (None, destination.port)


class Rules:
    """What the tasks of a service may reach.

    Args:
        allowed: What a task may name although it is not public.
        trust_named: A task may name any private host: whoever can send tasks is on this machine.
    """

    def __init__(self, allowed: Sequence[AllowedHost] = (), *, trust_named: bool) -> None:
        self._allowed = allowed
        self._trust_named = trust_named

    def check(self, destination: Destination, addresses: Iterable[Address], *, named: bool) -> None:
        """Refuse a destination one of whose addresses is not public, or is this machine's own.

        Args:
            named: The task itself names that destination; only then it may be private.

        Raises:
            TaskError: `blocked_address`.
        """
        own = own_addresses()
        for address in map(unmapped, addresses):
            if not (is_public(address) and address not in own):
                self._refuse_unless_allowed(destination, address, named=named)

    def check_unresolved(self, destination: Destination, *, named: bool) -> None:
        """Refuse what can be seen to be private although somebody else resolves the name.

        Raises:
            TaskError: `blocked_address`.
        """
        address = literal(destination.host)
        if address is not None:
            self.check(destination, [address], named=named)
        elif is_local_name(destination.host):
            self._refuse_unless_allowed(destination, None, named=named)

    def check_literal(self, named: Destination, *, what: str = "") -> None:
        """Refuse what a task names, if it is a private address and no name.

        Args:
            what: Begins the message.

        Raises:
            TaskError: `blocked_address`.
        """
        address = literal(named.host)
        if address is None:
            return
        try:
            self.check(named, [address], named=True)
        except TaskError as error:
            raise TaskError(error.code, f"{what}{error}") from None

    def _refuse_unless_allowed(
        self, destination: Destination, address: Address | None, *, named: bool
    ) -> None:
        if not named:
            raise TaskError(
                "blocked_address",
                f"The page leads to {destination}, which is not on the public internet; "
                "only a task's own url may name such a host.",
            )
        if self._trust_named or any(rule.allows(destination, address) for rule in self._allowed):
            return
        raise TaskError(
            "blocked_address",
            f"{destination} is not on the public internet; start the service with "
            f"--allow-private-host {destination} to let tasks name it.",
        )


def own_addresses() -> set[Address]:
    """Return the addresses of this machine's interfaces, which a firewall may treat as inside."""
    found = set()
    for interface in psutil.net_if_addrs().values():
        for entry in interface:
            try:
                found.add(without_zone(entry.address))
            except ValueError:
                continue  # a hardware address
    return found
