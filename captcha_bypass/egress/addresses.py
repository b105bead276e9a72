"""Which addresses are the public internet's."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

#: All that is routed publicly today (IANA, IPv6 Global Unicast Address Assignments). What is outside
#: is loopback, local, or wraps an IPv4 address: NAT64, IPv4-compatible, IPv4-translated.
_IPV6_PUBLIC = ip_network("2000::/3")
#: Taken by `is_global` for public, in some versions of Python or in all.
_DENIED = [
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's platform address, reachable from any of its machines
        "192.0.0.0/24",  # IETF protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # IETF protocol assignments, with Teredo, which wraps an IPv4 address
        "2002::/16",  # 6to4, likewise
        "3fff::/20",  # documentation
    )
]
#: Names that only a local network resolves (RFC 6761, 6762, 8375, ICANN's `internal`, and those
#: that ICANN never delegates because routers and companies use them).
_LOCAL_NAMES = (
    *("localhost", "local", "internal", "intranet", "private", "corp", "home", "lan", "home.arpa"),
    *("localdomain", "host", "kube", "cluster"),
)


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could reach that address."""
    address = unmapped(address)
    if isinstance(address, IPv6Address) and address not in _IPV6_PUBLIC:
        return False
    if not address.is_global or address.is_multicast:
        return False
    return not any(address in network for network in _DENIED)


def unmapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv4-mapped one means, or the address itself."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def literal(host: str) -> Address | None:
    """Return the address that `host` spells, in any spelling a resolver takes (`0x7f.1`), or None.

    One with a dot at its end is an address as well, to browsers and to some proxies.
    """
    try:
        found = socket.getaddrinfo(host.removesuffix("."), None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return without_zone(str(found[0][4][0]))


def without_zone(text: str) -> Address:
    """Parse a resolver's address; `fe80::1%eth0` is `fe80::1`."""
    return ip_address(text.partition("%")[0])


def is_local_name(host: str) -> bool:
    """Whether a name means something on a local network only; one without a dot always does."""
    name = host.rstrip(".").lower()
    return "." not in name or name.endswith(tuple(f".{suffix}" for suffix in _LOCAL_NAMES))
