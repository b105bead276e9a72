"""Who may be reached: what is public, and what a task itself names where that is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from types import SimpleNamespace

import psutil
import pytest

from captcha_bypass.egress.addresses import literal
from captcha_bypass.egress.rules import AllowedHost, Destination, Rules, own_addresses
from captcha_bypass.errors import TaskError

PLACE = Destination("db.example", 5432)
PRIVATE = ip_address("10.1.2.3")


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        ("example.com:443", "example.com", 443),
        ("EXAMPLE.com:1", "example.com", 1),
        ("[::1]:65535", "::1", 65535),
        ("[2606:4700::FFFF]:80", "2606:4700::ffff", 80),
        ("127.0.0.1:080", "127.0.0.1", 80),
        ("xn--mller-kva.example:80", "xn--mller-kva.example", 80),
        ("under_score.example.:80", "under_score.example.", 80),
    ],
)
def test_authority_is_a_host_and_a_port(authority: str, host: str, port: int) -> None:
    assert Destination.parse(authority) == (host, port)


@pytest.mark.parametrize(
    "authority",
    [
        *("example.com", "example.com:", ":80", "", "example.com:0", "example.com:65536"),
        *("example.com:123456", "example.com:-1", "example.com:8o", "example.com:+80", "::1:80"),
        *("[::1]", "[::1]80", "[::1:80", "::1]:80", "[]:80", "[fe80::1%lo]:80", "[example.com]:80"),
        *("user@example.com:80", "user:pw@example.com:80", "example.com:80/", "a/b:80", "a?b:80"),
        *(
            "a#b:80",
            "a b:80",
            " a:80",
            "a:80 ",
            "a:80\n",
            "a\tb:80",
            "a\x00.example:80",
            "a\x7f:80",
        ),
        *("a\x1b:80", "a:\u0668\u0660"),
    ],
)
def test_what_is_no_authority_is_refused(authority: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        Destination.parse(authority)


@pytest.mark.parametrize("authority", ["example.com", "[::1]", "127.0.0.1"])
def test_port_may_be_missing_where_there_is_a_default(authority: str) -> None:
    assert Destination.parse(authority, default_port=80).port == 80


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://Example.com/a:9", ("example.com", 80)),
        ("https://example.com", ("example.com", 443)),
        ("https://example.com:80/", ("example.com", 80)),
        ("http://[::1]:81/", ("::1", 81)),
        ("about:blank", ("", 0)),
    ],
)
def test_url_leads_to_its_host_and_port(url: str, expected: tuple[str, int]) -> None:
    assert Destination.of(url) == expected


@pytest.mark.parametrize("text", ["example.com:80", "[::1]:80"])
def test_destination_is_written_as_it_was_read(text: str) -> None:
    assert str(Destination.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("db.example", "db.example", None),
        ("DB.example:5432", "db.example", 5432),
        ("localhost", "localhost", None),
        ("10.1.2.3", "10.1.2.3", None),
        ("10.1.2.3:80", "10.1.2.3", 80),
        ("0x7f.1", "127.0.0.1", None),
        ("0x7f.1:80", "127.0.0.1", 80),
        ("::1", "::1", None),
        ("[::1]", "::1", None),
        ("[0:0::1]:80", "::1", 80),
        ("[FD00::1]:80", "fd00::1", 80),
    ],
)
def test_allowed_host_is_known_however_its_address_is_spelt(
    text: str, host: str, port: int | None
) -> None:
    allowed = AllowedHost.parse(text)
    assert (allowed.host, allowed.port, allowed.network) == (host, port, None)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a b", "db.example:", "db.example:0", "db.example:65536", "http://db.example"),
        *("db.example/", "10.0.0.1/8", "10.0.0.0/33", "[::1", "::1]", "[::1]:", "[::1]:x", "a@b"),
        *("fd00::1/8", "/8", "a#b"),
    ],
)
def test_what_is_no_host_and_no_network_cannot_be_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        AllowedHost.parse(text)


def verdict(
    *allowed: str,
    trust_named: bool = False,
    named: bool = True,
    place: Destination = PLACE,
    addresses: Sequence[str] = ("10.1.2.3",),
) -> str | None:
    """Return code and text of the refusal, or None."""
    rules = Rules([AllowedHost.parse(text) for text in allowed], trust_named=trust_named)
    try:
        rules.check(place, [ip_address(text) for text in addresses], named=named)
    except TaskError as error:
        return f"{error.code}: {error}"
    return None


@pytest.mark.parametrize("trust_named", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_public_host_is_anybodys(trust_named: bool, named: bool) -> None:
    assert verdict(trust_named=trust_named, named=named, addresses=["1.1.1.1"]) is None


@pytest.mark.parametrize(
    ("allowed", "passes"),
    [
        ([], False),
        (["db.example"], True),
        (["db.example:5432"], True),
        (["db.example:5433"], False),
        (["example"], False),
        (["other.example", "db.example"], True),
        (["10.0.0.0/8"], True),
        (["10.1.2.3/32"], True),
        (["10.1.2.4/32"], False),
        (["fd00::/8"], False),
        (["0.0.0.0/0"], True),
        (["10.1.2.3"], False),  # an address, but the task names a host
    ],
)
@pytest.mark.parametrize("trust_named", [True, False])
def test_task_may_name_a_private_host_if_it_is_trusted_or_allowed(
    allowed: list[str], passes: bool, trust_named: bool
) -> None:
    refused = verdict(*allowed, trust_named=trust_named)
    assert (refused is None) == (passes or trust_named)


@pytest.mark.parametrize("allowed", ["db.example", "db.example:5432", "10.0.0.0/8"])
@pytest.mark.parametrize("trust_named", [True, False])
def test_page_may_never_lead_to_a_private_host_that_the_task_does_not_name(
    allowed: str, trust_named: bool
) -> None:
    text = verdict(allowed, trust_named=trust_named, named=False)
    assert text is not None
    assert "db.example:5432" in text
    assert "10.1.2.3" not in text


def test_refusal_names_the_host_and_what_to_do_but_not_its_address() -> None:
    text = verdict()
    assert text is not None
    assert text.startswith("blocked_address: ")
    assert "--allow-private-host db.example:5432" in text
    assert "10.1.2.3" not in text


def test_what_a_refusal_says_to_allow_is_allowed_then() -> None:
    for place, address in ((PLACE, "10.1.2.3"), (Destination("fd00::1", 80), "fd00::1")):
        text = verdict(place=place, addresses=[address])
        assert text is not None
        remedy = text.partition("--allow-private-host ")[2].split()[0]
        assert verdict(remedy, place=place, addresses=[address]) is None


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("order", [("1.1.1.1", "10.1.2.3"), ("10.1.2.3", "1.1.1.1")])
def test_one_private_address_among_public_ones_is_enough(
    named: bool, order: tuple[str, str]
) -> None:
    assert verdict(named=named, addresses=order) is not None


def test_every_private_address_of_a_name_must_be_in_an_allowed_network() -> None:
    assert verdict("10.0.0.0/8", addresses=["10.1.2.3", "192.168.0.1"]) is not None
    assert verdict("10.0.0.0/8", "192.168.0.0/16", addresses=["10.1.2.3", "192.168.0.1"]) is None


def test_own_address_is_private_though_it_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = ("8.8.4.4", "2606:4700::77%eth0", "02:42:ac:11:00:02")
    interfaces = {"eth0": [SimpleNamespace(address=address) for address in addresses]}
    assert verdict(addresses=["8.8.4.4"]) is None
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: interfaces)
    assert own_addresses() == {ip_address("8.8.4.4"), ip_address("2606:4700::77")}
    for address in ("8.8.4.4", "2606:4700::77", "::ffff:8.8.4.4"):
        assert verdict(addresses=[address]) is not None, address
        assert verdict(addresses=[address], named=False) is not None, address
        assert verdict("db.example", addresses=[address]) is None, address
    assert verdict(addresses=["8.8.8.8"]) is None


def test_own_addresses_are_read_from_the_machine() -> None:
    assert ip_address("127.0.0.1") in own_addresses()


def unresolved(host: str, *allowed: str, trust_named: bool = False, named: bool = False) -> bool:
    """Whether a host passes that somebody else is going to resolve."""
    rules = Rules([AllowedHost.parse(text) for text in allowed], trust_named=trust_named)
    try:
        rules.check_unresolved(Destination(host, 80), named=named)
    except TaskError as error:
        return error.code != "blocked_address"
    return True


LOCAL = (
    *("127.0.0.1", "0x7f.1", "2130706433", "127.0.0.1.", "::1", "::ffff:127.0.0.1", "10.0.0.1"),
    *("169.254.169.254", "64:ff9b::7f00:1", "localhost", "a.localhost.", "router", "x.internal"),
)


@pytest.mark.parametrize("host", LOCAL)
def test_what_is_seen_to_be_local_is_refused_without_resolving_it(host: str) -> None:
    assert not unresolved(host)
    assert not unresolved(host, host)
    assert not unresolved(host, trust_named=True)
    assert not unresolved(host, named=True)
    assert unresolved(host, trust_named=True, named=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "x.internal"])
def test_local_host_that_is_allowed_may_be_named_without_resolving_it(host: str) -> None:
    assert unresolved(host, host, named=True)
    assert not unresolved(host, f"{Destination(host, 81)}", named=True)


def test_network_allows_an_address_but_no_name_that_was_not_resolved() -> None:
    assert unresolved("10.0.0.1", "10.0.0.0/8", named=True)
    assert not unresolved("localhost", "127.0.0.0/8", named=True)


@pytest.mark.parametrize("host", ["example.com", "1.1.1.1", "2606:4700::1111", "nowhere.invalid"])
def test_other_hosts_are_left_to_who_resolves_them(host: str) -> None:
    assert unresolved(host)


@pytest.mark.parametrize("host", [host for host in LOCAL if literal(host)])
def test_address_that_a_task_spells_is_refused_at_once_unless_it_is_allowed(host: str) -> None:
    place = Destination(host, 80)
    with pytest.raises(
        TaskError, match=f"^Its {re.escape(str(place))} is not .* --allow"
    ) as refused:
        Rules(trust_named=False).check_literal(place, what="Its ")
    assert refused.value.code == "blocked_address"
    everything = [AllowedHost.parse(network) for network in ("0.0.0.0/0", "::/0")]
    Rules(everything, trust_named=False).check_literal(place)
    Rules(trust_named=True).check_literal(place)


@pytest.mark.parametrize("host", ["localhost", "x.internal", "example.com", "1.1.1.1"])
def test_names_and_public_addresses_are_not_judged_by_their_spelling(host: str) -> None:
    Rules(trust_named=False).check_literal(Destination(host, 80))
