"""What counts as the public internet, in every spelling, on every Python."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from captcha_bypass.egress.addresses import is_local_name, is_public, literal, without_zone

#: Special-purpose ranges: IANA's IPv4 registry and what clouds keep to themselves.
REFUSED_V4 = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
    *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    "168.63.129.16/32",
)
#: Likewise IPv6; what has no range here is not assigned at all.
REFUSED_V6 = (
    *("::/128", "::1/128", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64"),
    *("2001::/32", "2001:2::/48", "2001:10::/28", "2001:20::/28", "2001::/23", "2001:db8::/32"),
    *("2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    *("4000::/3", "6000::/3", "8000::/3", "a000::/3", "c000::/3", "e000::/4", "f000::/5"),
)
#: Addresses known to be confused with public ones, or that are worth most to an attacker.
TRAPS = {
    "169.254.169.254": "the metadata service of most clouds",
    "fd00:ec2::254": "the same of AWS, IPv6",
    "100.100.100.200": "the same of Alibaba",
    "192.0.0.192": "the same of Oracle's classic cloud",
    "168.63.129.16": "Azure's platform",
    "192.0.0.9": "globally reachable by the registry, but a protocol's",
    "192.88.99.1": "6to4 relay",
    "224.0.0.1": "multicast",
    "239.255.255.250": "SSDP",
    "255.255.255.255": "broadcast",
    "ff02::1": "multicast",
    "ff0e::1": "multicast, global scope",
    "::ffff:127.0.0.1": "IPv4-mapped loopback",
    "::ffff:10.0.0.1": "IPv4-mapped private",
    "::ffff:169.254.169.254": "IPv4-mapped metadata",
    "::ffff:168.63.129.16": "IPv4-mapped, Azure",
    "::127.0.0.1": "IPv4-compatible",
    "::8.8.8.8": "IPv4-compatible, even of a public address",
    "::ffff:0:127.0.0.1": "IPv4-translated",
    "64:ff9b::7f00:1": "NAT64 of loopback",
    "64:ff9b::808:808": "NAT64 of a public address",
    "64:ff9b:1::7f00:1": "NAT64, local use",
    "2002:7f00:1::": "6to4 of loopback",
    "2002:808:808::1": "6to4 of a public address",
    "2001:0:53aa:64c:0:fbff:80ff:fffe": "Teredo",
    "fec0::1": "site-local",
    "fe80::5efe:7f00:1": "ISATAP",
}
PUBLIC = (
    *("1.1.1.1", "8.8.8.8", "93.184.215.14", "192.31.196.1", "192.52.193.1", "192.175.48.1"),
    *("2606:4700::1111", "2606:4700:4700::1111", "2001:4860:4860::8888", "2620:4f:8000::1"),
    *("2a00:1450:4001:80b::200e", "2400:cb00::1", "2c0f:fb50::1"),
    *("::ffff:8.8.8.8", "::ffff:1.1.1.1"),
)
#: The last address before a refused range, or the first after it.
NEIGHBOURS = (
    *("1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255"),
    *("172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.1.255", "192.0.3.0"),
    *("192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255"),
    *("198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0"),
    *("223.255.255.255", "168.63.129.15", "168.63.129.17"),
    *("2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"),
    *("2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::", "2000::1"),
    *("3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"),
)


@pytest.mark.parametrize("network", [*REFUSED_V4, *REFUSED_V6])
def test_no_special_range_is_public_from_its_first_to_its_last_address(network: str) -> None:
    found = ip_network(network)
    middle = found[found.num_addresses // 2]
    assert [address for address in (found[0], middle, found[-1]) if is_public(address)] == []


@pytest.mark.parametrize("text", TRAPS)
def test_trap_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text)), TRAPS[text]


@pytest.mark.parametrize("text", [*PUBLIC, *NEIGHBOURS])
def test_public_address_passes(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("network", [net for net in REFUSED_V4 if ip_network(net).prefixlen <= 24])
def test_ipv4_mapped_form_is_judged_as_the_address_in_it(network: str) -> None:
    inside = ip_network(network)[1]
    assert not is_public(ip_address(f"::ffff:{inside}"))


LOOPBACK = (
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0X7F.1", "017700000001"),
    *("0177.0.0.1", "0x7f.0.0.1", "127.0.0.0x1", "0177.1", "00000177.0.0.01", "127.0x1"),
    *("127.0.0.1.", "2130706433.", "0x7f.1."),
    *("\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021"),  # as browsers fold them
)


@pytest.mark.parametrize("text", LOOPBACK)
def test_every_spelling_of_loopback_is_read_as_it(text: str) -> None:
    assert literal(text) == ip_address("127.0.0.1")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("::1", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("::ffff:127.0.0.1", "::ffff:7f00:1"),
        ("::FFFF:7F00:1", "::ffff:7f00:1"),
        ("fe80::1%lo", "fe80::1"),
        ("0", "0.0.0.0"),
        ("169.16689662", "169.254.169.254"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("2606:4700::1111", "2606:4700::1111"),
    ],
)
def test_address_in_another_spelling_is_read(text: str, address: str) -> None:
    assert literal(text) == ip_address(address)


@pytest.mark.parametrize(
    "text",
    [
        *("example.com", "127.0.0.1.example.com", "1.2.3.4.5", "256.0.0.1", "0x", "", ".", "-1"),
        *("127.0.0.1:80", "[::1]", "a" * 70 + ".com", "nowhere.invalid", "\udc80.com"),
    ],
)
def test_what_is_no_address_is_left_to_a_resolver(text: str) -> None:
    assert literal(text) is None


def test_zone_of_an_address_is_dropped() -> None:
    assert without_zone("fe80::1%eth0") == ip_address("fe80::1")


@pytest.mark.parametrize(
    "name",
    [
        *("localhost", "LocalHost.", "a.localhost", "router", "printer.local", "nas.lan"),
        *("fritz.box.home", "vault.internal", "metadata.google.internal", "x.corp", "x.intranet"),
        *("x.private", "x.home.arpa", "x.localdomain", "a.localdomain.", "docker.host", "a.kube"),
        *("kubernetes.default.svc.cluster.local", "host.docker.internal", "redis", "b.cluster"),
    ],
)
def test_local_name_is_known_by_its_end(name: str) -> None:
    assert is_local_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("example.com", "localhost.example.com", "mylocalhost.com", "example.com.", "notlocal.io"),
        *("internal.example", "home.example", "xlan.net", "a.thelan", "127.0.0.1"),
    ],
)
def test_public_name_is_not_local(name: str) -> None:
    assert not is_local_name(name)
