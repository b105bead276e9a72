"""The attacks: each a way of opening a connection, aimed at one spelling of one address."""

from __future__ import annotations

from dataclasses import dataclass

from tests.attacks.kinds import KINDS, Kind
from tests.attacks.network import NEIGHBOUR, PRIVATE, SITE


@dataclass(frozen=True)
class Vector:
    """One attack; its name stands in the path it asks the target for."""

    of: str
    #: As it stands in the URL, and a word for it in the name.
    host: str = "127.0.0.1"
    spelled: str = ""

    @property
    def name(self) -> str:
        return f"{self.of}.{self.spelled}" if self.spelled else self.of

    @property
    def kind(self) -> Kind:
        return KINDS[self.of]


#: Spellings of the loopback address. The word says what to look for.
LOOPBACK: dict[str, str] = {
    "decimal": "2130706433",
    "hexadecimal": "0x7f000001",
    "octal": "0177.0.0.1",
    "short": "127.1",
    "full-width": "\uff11\uff12\uff17.0.0.1",
    "percent": "%31%32%37.0.0.1",
    "trailing-dot": "127.0.0.1.",
    "ipv6": "[::1]",
    "ipv6-long": "[0:0:0:0:0:0:0:1]",
    "mapped": "[::ffff:127.0.0.1]",
    "mapped-hexadecimal": "[::ffff:7f00:1]",
    "localhost": "localhost",
    "localhost-dot": "localhost.",
    "under-localhost": "x.localhost",
}

#: What a stock Firefox does not do by itself, and why. Tried all the same: with the guard, so
#: that nothing depends on it; without, so that this list stays true.
APART: dict[str, str] = {
    "ping": "<a ping> is off in Firefox (browser.send_pings)",
    "prefetch": "Firefox prefetches from the page's own origin only",
    "preconnect.ten": "Firefox opens no connection ahead of need to an 10/8 and the like",
    "fetch.any": "Firefox refuses 0.0.0.0 (network.socket.ip_addr_any.disabled)",
    "fetch.zero": "the same address, spelled 0",
    "turns-tcp": "Firefox takes a TURN server with TLS by name only",
}

#: They need a network card; on the loopback address Firefox does not try them.
_WEBRTC = ("stun", "turn-udp", "turn-tcp", "turns-tcp", "ice-candidate", "ice-candidate-tcp")
#: They need a name server.
_LOOKUPS = ("stun-lookup", "dns-prefetch")

#: What one page tries at once where there is nothing but loopback.
ON_LOOPBACK = (
    *(Vector(kind) for kind in KINDS if kind not in (*_WEBRTC, *_LOOKUPS)),
    *(Vector("fetch", host, spelled) for spelled, host in LOOPBACK.items()),
    *(Vector("iframe", LOOPBACK[word], word) for word in ("ipv6", "localhost", "under-localhost")),
    Vector("img", "user@127.0.0.1", "user-info"),
    Vector("fetch", "0.0.0.0", "any"),
    Vector("fetch", "0", "zero"),
)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


_NAMES = {
    "name": f"internal.{SITE}",
    "name-ipv6": f"six.{SITE}",
    "hosts-file": NEIGHBOUR,
    "metadata-name": "metadata.google.internal",
}

#: What a page from a public site tries at once on the machine in `network.py`. It is no secure
#: context.
IN_NAMESPACE = (
    *(
        Vector(name, PRIVATE["ten"])
        for name, kind in KINDS.items()
        if not kind.secure and name not in (*_LOOKUPS, "preconnect")
    ),
    *(Vector("fetch", _bracketed(address), word) for word, address in PRIVATE.items()),
    *(Vector("fetch", name, word) for word, name in _NAMES.items()),
    *(Vector("iframe", name, word) for word, name in _NAMES.items()),
    # The public address does not answer at that port, so a browser goes on to the private one.
    Vector("fetch-port", f"both.{SITE}", "both"),
    Vector("fetch", f"[::ffff:{PRIVATE['ten']}]", "mapped"),
    Vector("fetch", "127.0.0.1", "loopback"),
    Vector("websocket", _bracketed(PRIVATE["unique-local"]), "ipv6"),
    Vector("preconnect", PRIVATE["ten"], "ten"),
    Vector("preconnect", PRIVATE["carrier"], "carrier"),
    Vector("preconnect", _bracketed(PRIVATE["nat64"]), "nat64"),
    Vector("turns-tcp", f"internal.{SITE}", "name"),
    Vector("stun", f"internal.{SITE}", "name"),
    *(Vector(name, f"{name}.{SITE}") for name in _LOOKUPS),
)

#: Pages that take the whole tab elsewhere: the attack, and the site's page that does it.
TOP: dict[str, str] = {
    "top-301": "/top/301",
    "top-302": "/top/302",
    "top-307": "/top/307",
    "top-meta-refresh": "/meta",
    "top-script": "/script",
    "top-refresh-header": "/refresh-header",
    "top-form": "/form",
    "top-link": "/link",
}
