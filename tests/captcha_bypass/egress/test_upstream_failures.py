"""A proxy that fails, or that is asked for what is private: an error, and never a way around it."""

from __future__ import annotations

import asyncio

import pytest

from captcha_bypass.egress import routes
from captcha_bypass.egress.rules import Destination
from captcha_bypass.egress.upstream import Upstream
from tests.captcha_bypass.egress.conftest import Certificate
from tests.captcha_bypass.egress.proxies import HttpProxy, Site, SocksProxy, fails, reason, upstream
from tests.captcha_bypass.egress.servers import Handler, Internet, browsing, guarding, serving

KINDS = {"http": HttpProxy, "socks5": SocksProxy}
NOT_ESTABLISHED = b"HTTP/1.1 502 Bad Gateway"
SITE = "site.example"


@pytest.mark.parametrize("login", [(None, ""), ("user", "wrong"), ("other", "right")])
@pytest.mark.parametrize("kind", KINDS)
async def test_wrong_login_is_said_to_be_one(
    internet: Internet, kind: str, login: tuple[str | None, str]
) -> None:
    proxy, site = KINDS[kind]("user", "right"), Site()
    proxy.behind = site
    async with site.running(), proxy.running():
        internet.site(SITE, "1.1.1.1", site)
        way = Upstream(kind, proxy.destination, *login)
        async with guarding(upstream=way) as guard:
            code, text = await fails(guard)
    assert code == "proxy_error"
    assert "proxy.username and proxy.password" in text
    assert proxy.refused == 2
    assert site.connections == 0


@pytest.mark.parametrize("number", range(1, 9))
async def test_reply_of_a_socks_proxy_is_in_the_error(internet: Internet, number: int) -> None:
    proxy = SocksProxy(reply=number)
    async with proxy.running(), guarding(upstream=upstream(proxy)) as guard:
        code, text = await fails(guard)
    assert (code, f"answered {number})" in text) == ("proxy_error", True)
    assert [host for host, _ in proxy.asked] == [SITE, SITE]


@pytest.mark.parametrize("status", [200, 301, 400, 403, 502])
async def test_status_of_an_http_proxy_is_in_the_error(status: int) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d Words\r\n\r\n" % status)

    async with serving(refuse) as proxy:
        way = Upstream("http", proxy.destination)
        async with guarding(upstream=way) as guard, browsing(guard) as browser:
            opened = await browser.connect(f"{SITE}:443") != NOT_ESTABLISHED
            assert opened == (status == 200)
            code, text = reason(guard, f"{SITE}:443")
    assert (code, text != "" and f"answered {status})" in text) == (
        ("", False) if opened else ("proxy_error", True)
    )


async def hang_up(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Say nothing."""


async def hang_up_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin to answer in whichever protocol."""
    start = await reader.read(1)
    writer.write(b"\x05" if start == b"\x05" else b"HTTP/1.1 2")


async def talk_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as some other server does."""
    await reader.read(1)
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n" * 20 + b"\r\n\r\n")
    await reader.read()


async def talk_garbage_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer without end."""
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def old_socks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as SOCKS4 does."""
    await reader.read(1)
    writer.write(b"\x00\x5a\x00\x00\x00\x00\x00\x00")


async def odd_address(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Open the connection, at an address of no known kind."""
    await reader.readexactly(3)
    writer.write(b"\x05\x00\x05\x00\x00\x09" + bytes(6))
    await reader.read()


async def login_nobody_gave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Choose a method that was not offered."""
    await reader.readexactly(3)
    writer.write(b"\x05\x02")
    await reader.read()


BROKEN: list[Handler] = [hang_up, hang_up_late, talk_garbage, talk_garbage_for_ever, old_socks]


@pytest.mark.parametrize(
    ("kind", "handle"),
    [
        *((kind, handle) for kind in ("http", "https", "socks5") for handle in BROKEN),
        ("socks5", odd_address),
        ("socks5", login_nobody_gave),
    ],
)
async def test_proxy_that_is_none_is_an_error(
    internet: Internet, kind: str, handle: Handler
) -> None:
    site = Site()
    async with site.running(), serving(handle) as proxy:
        internet.site(SITE, "1.1.1.1", site)
        async with guarding(upstream=Upstream(kind, proxy.destination)) as guard:
            async with browsing(guard) as browser:
                assert await browser.connect(f"{SITE}:80") == NOT_ESTABLISHED
            assert reason(guard, SITE)[0] == "proxy_error"
        assert site.connections == 0


async def test_login_in_vain_of_a_longer_name_than_socks_takes() -> None:
    proxy = SocksProxy("u" * 256, "p")
    async with proxy.running(), guarding(upstream=upstream(proxy)) as guard:
        assert (await fails(guard))[0] == "proxy_error"
    assert proxy.asked == []


async def test_name_that_is_too_long_for_socks_is_an_error() -> None:
    proxy = SocksProxy()
    async with proxy.running(), guarding(upstream=upstream(proxy)) as guard:
        assert (await fails(guard, "a." * 130 + "example"))[0] == "proxy_error"
    assert proxy.asked == []


async def test_proxy_whose_certificate_is_not_trusted_is_an_error(certificate: Certificate) -> None:
    proxy, site = HttpProxy("user", "pass"), Site()
    proxy.behind = site
    async with (
        site.running(),
        proxy.running(certificate.server()),
        guarding(upstream=upstream(proxy, tls=True)) as guard,
    ):
        code, text = await fails(guard)
    assert code == "proxy_error"
    assert "certificate" in text
    assert (proxy.asked, proxy.refused, proxy.heads, site.connections) == ([], 0, [], 0)


@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
async def test_proxy_at_a_closed_port_is_an_error(internet: Internet, kind: str) -> None:
    site = Site()
    async with site.running():
        internet.site(SITE, "1.1.1.1", site)
        internet.names["proxy.example"] = [["1.0.0.1"]]
        for place in (Destination("127.0.0.1", 1), Destination("proxy.example", 3128)):
            async with guarding(upstream=Upstream(kind, place)) as guard:
                code, text = await fails(guard)
            assert code == "proxy_error"
            assert "cannot be reached" in text
        assert site.connections == 0


@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
async def test_proxy_of_an_unknown_name_is_an_error(internet: Internet, kind: str) -> None:
    way = Upstream(kind, Destination("proxy.invalid", 3128))
    async with guarding(upstream=way) as guard:
        code, text = await fails(guard)
    assert code == "proxy_error"
    assert "proxy.server" in text
    assert internet.dialled == []


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take everything, and say nothing."""
    while await reader.read(65536):
        pass


@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
async def test_proxy_that_says_nothing_is_given_up(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "CONNECT_SECONDS", 0.2)
    async with serving(silence) as proxy:
        async with guarding(upstream=Upstream(kind, proxy.destination)) as guard:
            async with browsing(guard) as browser:
                assert await browser.connect(f"{SITE}:80") == NOT_ESTABLISHED
            assert reason(guard, SITE)[0] == "proxy_error"
        await proxy.idle()


async def test_https_proxy_that_says_nothing_is_given_up_for_plain_requests_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routes, "CONNECT_SECONDS", 0.2)
    async with serving(silence) as proxy:
        async with guarding(upstream=Upstream("https", proxy.destination)) as guard:
            assert (await fails(guard))[0] == "proxy_error"
        await proxy.idle()
