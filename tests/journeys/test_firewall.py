"""The firewall of SECURITY.md and the hardened compose file says what it must."""

from __future__ import annotations

import re
import shutil
import subprocess
from ipaddress import ip_address, ip_network

import pytest

from tests.support.container_files import FIREWALL, FLAGS
from tests.support.repository import ROOT

SECURITY = (ROOT / "SECURITY.md").read_text()


def test_every_flag_in_the_security_page_is_one_of_ours_but_for_one_of_dockers() -> None:
    assert set(re.findall(r"`(--[a-z-]+)", SECURITY)) <= FLAGS | {"--privileged"}


def example_firewall() -> str:
    (example,) = re.findall(r"```nft\n(.*?)```", SECURITY, re.DOTALL)
    return str(example)


BOTH_FIREWALLS = pytest.mark.parametrize(
    "rules", [FIREWALL, example_firewall()], ids=["compose.hardened.yaml", "SECURITY.md"]
)


@BOTH_FIREWALLS
def test_the_rules_replace_their_own_table_only(rules: str) -> None:
    lines = [line for line in rules.splitlines() if line and not line.lstrip().startswith("#")]
    name = "table inet captcha_bypass"
    assert lines[:3] == [name, f"delete {name}", f"{name} {{"]
    assert lines[-1] == "}"
    assert rules.count("{") == rules.count("}")
    assert "flush ruleset" not in rules
    assert "type filter hook output priority filter; policy accept;" in rules


@BOTH_FIREWALLS
def test_the_rules_parse(rules: str) -> None:
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed (Debian: nftables)")
    if subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespace can be had, which nft wants even to check")
    command = ["unshare", "-rn", "nft", "--check", "--file", "-"]
    done = subprocess.run(command, input=rules, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@BOTH_FIREWALLS
@pytest.mark.parametrize(
    ("address", "refused"),
    [
        *((text, True) for text in ("10.1.2.3", "172.16.0.1", "172.31.9.9", "192.168.1.1")),
        *((text, True) for text in ("169.254.169.254", "168.63.129.16", "100.64.0.1", "0.0.0.0")),
        *((text, True) for text in ("127.0.0.2", "192.0.0.192", "198.18.0.1", "224.0.0.1")),
        *((text, True) for text in ("255.255.255.255", "240.0.0.1")),
        *((text, False) for text in ("1.1.1.1", "9.9.9.9", "93.184.215.14", "172.32.0.1")),
        *((text, False) for text in ("192.1.0.1", "100.63.0.1", "11.0.0.1", "223.255.255.1")),
    ],
)
def test_the_rules_refuse_what_is_not_public(rules: str, address: str, refused: bool) -> None:
    (listed,) = re.findall(r"ip daddr \{(.*?)\} reject", rules, re.DOTALL)
    networks = [ip_network(entry.strip()) for entry in listed.split(",")]
    assert any(ip_address(address) in network for network in networks) is refused


def test_the_rules_refuse_ipv6_that_is_not_public() -> None:
    assert "meta nfproto ipv6 reject" in FIREWALL  # its network has none
    assert "ip6 daddr != 2000::/3 reject" in example_firewall()
