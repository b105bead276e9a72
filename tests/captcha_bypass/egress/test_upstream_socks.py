"""SOCKS5 as RFC 1928 has it."""

from __future__ import annotations

import pytest

from tests.captcha_bypass.egress.proxies import SocksProxy, upstream
from tests.captcha_bypass.egress.servers import Internet, browsing, echo, guarding, serving

ESTABLISHED = b"HTTP/1.1 200 Connection established"


@pytest.mark.parametrize(
    ("host", "kind", "expected"),
    [
        ("site.example", 3, "site.example"),
        ("1.1.1.1", 1, "1.1.1.1"),
        ("[2606:4700::1111]", 4, "2606:4700::1111"),
        ("xn--mller-kva.example", 3, "xn--mller-kva.example"),
    ],
)
async def test_socks_proxy_is_told_a_destination_as_it_is(
    internet: Internet, host: str, kind: int, expected: str
) -> None:
    proxy = SocksProxy()
    async with (
        serving(echo) as proxy.behind,
        proxy.running(),
        guarding(upstream=upstream(proxy)) as guard,
        browsing(guard) as browser,
    ):
        assert await browser.connect(f"{host}:81") == ESTABLISHED
    assert (proxy.kinds, proxy.asked) == ([kind], [(expected, 81)])
    assert internet.asked == []


@pytest.mark.parametrize(
    "bound",
    [b"\x01" + bytes(6), b"\x04" + bytes(18), b"\x03\x05proxy\x00\x50", b"\x03\x00\x00\x00"],
)
async def test_socks_proxy_may_name_its_own_end_in_any_way(bound: bytes) -> None:
    proxy = SocksProxy()
    proxy.bound = bound
    async with (
        serving(echo) as proxy.behind,
        proxy.running(),
        guarding(upstream=upstream(proxy)) as guard,
        browsing(guard) as browser,
    ):
        await browser.connect("site.example:81")
        await browser.send(b"hello")
        assert await browser.reader.readexactly(5) == b"hello"
