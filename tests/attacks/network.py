"""The little world inside a network namespace: its addresses, names and files."""

from __future__ import annotations

import platform
import subprocess
import tempfile
from pathlib import Path

#: Where the attacker's site is: a public address, as far as anybody can tell.
PUBLIC = "93.184.216.34"
#: The attacker's name for it.
SITE = "attacker.test"

#: This machine's own addresses, as its card has them; the first is where it sends from.
OWN = ("10.9.8.7", "198.41.0.4")

#: Where the internal service is. The word says what kind of address it is.
PRIVATE: dict[str, str] = {
    "ten": "10.1.2.3",
    "home": "192.168.1.1",
    "docker": "172.17.0.1",
    "metadata": "169.254.169.254",
    "azure": "168.63.129.16",
    "carrier": "100.64.0.1",
    "unique-local": "fd00::1",
    "nat64": "64:ff9b::a01:203",
    "six-to-four": "2002:a01:203::1",
    "own": OWN[1],
}

#: What the attacker's name server says. `rebind` is public when it is first
#: asked for.
ZONE: dict[str, list[str] | list[list[str]]] = {
    SITE: [PUBLIC],
    f"internal.{SITE}": [PRIVATE["ten"]],
    f"six.{SITE}": [PRIVATE["unique-local"]],
    f"both.{SITE}": [PUBLIC, PRIVATE["ten"]],
    f"rebind.{SITE}": [[PUBLIC], [PRIVATE["ten"]]],
    "metadata.google.internal": [PRIVATE["metadata"]],
    # Firefox asks there by itself; if it does, it shall be seen to.
    "firefox.settings.services.mozilla.com": [PUBLIC],
}
#: A name that only this machine's hosts file knows.
NEIGHBOUR = "neighbour"

_HOSTS = f"127.0.0.1 localhost {platform.node()}\n::1 localhost\n{PRIVATE['home']} {NEIGHBOUR}\n"


def build() -> None:
    """Give this namespace its addresses, resolver and hosts file."""
    _ip("link set lo up")
    # A pair of cards, because WebRTC looks for one that is not the loopback.
    _ip("link add net0 type veth peer name net1")
    _ip("link set net0 up")
    _ip("link set net1 up")
    for address in OWN:
        _ip(f"addr add {address}/32 dev net0")
    # The others are elsewhere, as far as the card can tell, and yet what goes there arrives here.
    for address in {PUBLIC, *PRIVATE.values()} - set(OWN):
        if ":" in address:
            # Without it, only what a card has can be listened on.
            Path("/proc/sys/net/ipv6/ip_nonlocal_bind").write_text("1")
            _ip(f"-6 route add local {address}/128 dev lo")
        else:
            # What is sent there comes from the card, as WebRTC wants it.
            _ip(f"route add local {address}/32 dev lo src {OWN[0]}")
    _ip("route add default dev net0")
    _ip("-6 route add default dev net0")
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("hosts", _HOSTS), ("resolv.conf", "nameserver 127.0.0.1\n")):
            file = Path(folder, name)
            file.write_text(text)
            # /etc/resolv.conf is often a link: what it leads to is what is covered, and stays so
            # when the folder is gone.
            place = str(Path("/etc", name).resolve())
            subprocess.run(["mount", "--bind", str(file), place], check=True)


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)
