"""A task's proxy carries everything, with the task's login."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator

import pytest

from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination
from captcha_bypass.egress.upstream import Upstream, tls_context
from tests.captcha_bypass.egress.conftest import Certificate
from tests.captcha_bypass.egress.proxies import HttpProxy, Site, SocksProxy, reason, upstream
from tests.captcha_bypass.egress.servers import Internet, browsing, echo, guarding, request, serving

#: With a colon, which a careless reader would cut at; empty; beyond ASCII.
LOGINS = [
    *(
        (kind, login)
        for kind in ("http", "socks5")
        for login in [(None, ""), ("user", "pass:word"), ("token", "")]
    ),
    # What the API takes for http proxies only.
    ("http", ("j\u00fcrgen", "gr\u00fc\u00df\u20ac")),
]
KINDS = {"http": HttpProxy, "socks5": SocksProxy}
ESTABLISHED = b"HTTP/1.1 200 Connection established"
SOME_MB = random.Random(7).randbytes(3_000_000)  # noqa: S311 - not for secrets


@pytest.fixture
def trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Certificate]:
    """The test certificate, trusted by this process."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.cert))
    tls_context.cache_clear()
    yield certificate
    tls_context.cache_clear()


@pytest.mark.parametrize(("kind", "login"), LOGINS)
async def test_proxy_carries_tunnels(
    internet: Internet, kind: str, login: tuple[str | None, str]
) -> None:
    proxy = KINDS[kind](*login)
    async with (
        serving(echo) as proxy.behind,
        proxy.running(),
        guarding(upstream=upstream(proxy)) as guard,
        browsing(guard) as browser,
    ):
        assert await browser.connect("site.example:8443") == ESTABLISHED
        await browser.send(b"hello")
        browser.writer.write_eof()
        assert await browser.reader.read() == b"hello"
        assert reason(guard, "site.example:8443") == ("", "")
    assert proxy.asked == [("site.example", 8443)]
    assert proxy.refused == 0
    assert internet.asked == []
    assert internet.dialled == [("127.0.0.1", proxy.port)]


@pytest.mark.parametrize(("kind", "login"), LOGINS)
async def test_proxy_carries_plain_requests(
    internet: Internet, kind: str, login: tuple[str | None, str]
) -> None:
    proxy, site = KINDS[kind](*login), Site()
    proxy.behind = site
    async with (
        site.running(),
        proxy.running(),
        guarding(upstream=upstream(proxy)) as guard,
        browsing(guard) as browser,
    ):
        await browser.send(request("http://site.example/a", lines=b"X-Odd:  y\r\n"))
        assert (await browser.answer())[1] == b"hello"
    assert proxy.asked == [("site.example", 80)]
    assert internet.dialled == [("127.0.0.1", proxy.port)]
    assert len(site.heads) == 1
    assert b"X-Odd:  y\r\n" in site.heads[0]
    assert b"proxy" not in site.heads[0].lower()


async def test_http_proxy_gets_plain_requests_in_absolute_form_with_the_login() -> None:
    proxy, site = HttpProxy("user", "pass"), Site()
    proxy.behind = site
    async with (
        site.running(),
        proxy.running(),
        guarding(upstream=upstream(proxy)) as guard,
        browsing(guard) as browser,
    ):
        mine = b"Proxy-Authorization: Basic bWluZQ==\r\nX-A: 1\r\n"
        for host in ("a.example", "b.example", "a.example"):
            await browser.send(request(f"http://{host}/p?q", lines=mine))
            assert (await browser.answer())[1] == b"hello"
    assert proxy.heads[1] == (
        b"GET http://b.example/p?q HTTP/1.1\r\nHost: b.example\r\nX-A: 1\r\n"
        b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
    )
    assert [host for host, _ in proxy.asked] == ["a.example", "b.example", "a.example"]
    # What it says for one host is never taken for another's.
    assert proxy.connections == 3


@pytest.mark.parametrize("login", LOGINS)
async def test_https_proxy_is_talked_to_in_tls(
    internet: Internet, trusted: Certificate, login: tuple[str | None, str]
) -> None:
    proxy = HttpProxy(*login)
    site = Site()
    proxy.behind = site
    async with (
        site.running(),
        proxy.running(trusted.server()),
        guarding(upstream=upstream(proxy, tls=True)) as guard,
    ):
        async with browsing(guard) as browser:
            assert (await browser.get("http://site.example/"))[1] == b"hello"
        async with browsing(guard) as browser:
            assert await browser.connect("site.example:80") == ESTABLISHED
            await browser.send(request("/"))
            assert (await browser.answer())[1] == b"hello"
    assert proxy.asked == [("site.example", 80)] * 2
    assert proxy.refused == 0


async def test_https_proxy_moves_megabytes_and_their_end(trusted: Certificate) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(SOME_MB))
        writer.write(SOME_MB)
        await writer.drain()

    proxy = HttpProxy()
    async with (
        serving(flood) as proxy.behind,
        proxy.running(trusted.server()),
        guarding(upstream=upstream(proxy, tls=True)) as guard,
        browsing(guard) as browser,
    ):
        await browser.connect("site.example:443")
        await browser.send(SOME_MB)
        assert await browser.reader.readexactly(len(SOME_MB)) == SOME_MB


async def test_site_behind_an_https_proxy_has_its_own_tls(trusted: Certificate) -> None:
    proxy = HttpProxy()
    async with (
        serving(echo, trusted.server()) as proxy.behind,
        proxy.running(trusted.server()),
        guarding(upstream=upstream(proxy, tls=True)) as guard,
        browsing(guard) as browser,
    ):
        await browser.connect("site.example:443")
        await browser.writer.start_tls(trusted.client(), server_hostname="localhost")
        await browser.send(b"inside")
        assert await browser.reader.readexactly(6) == b"inside"


@pytest.mark.parametrize("name", ["proxy.example", "other.example"])
async def test_certificate_of_an_https_proxy_is_for_its_name(
    internet: Internet, trusted: Certificate, name: str
) -> None:
    proxy, site = HttpProxy(), Site()
    proxy.behind = site
    async with site.running(), proxy.running(trusted.server()):
        internet.site(name, "1.1.1.1", proxy)
        way = Upstream("https", Destination(name, 443))
        async with guarding(upstream=way) as guard, browsing(guard) as browser:
            if name == "proxy.example":
                assert (await browser.get("http://site.example/"))[1] == b"hello"
            else:
                await browser.send(request("http://site.example/"))
                assert await browser.reader.read() == b""
                code, text = reason(guard, "site.example")
                assert code == "proxy_error"
                assert "certificate" in text
    assert len(site.heads) == (name == "proxy.example")


async def test_proxys_name_is_resolved_once(internet: Internet) -> None:
    proxy = SocksProxy()
    async with serving(echo) as proxy.behind, proxy.running():
        internet.site("proxy.example", "1.1.1.1", proxy)
        internet.names["proxy.example"] = [["1.1.1.1"], ["127.0.0.1"]]
        way = Upstream("socks5", Destination("proxy.example", 1080))
        async with guarding(upstream=way) as guard:
            for _ in range(2):
                async with browsing(guard) as browser:
                    assert await browser.connect("site.example:81") == ESTABLISHED
    assert internet.asked == ["proxy.example"]
    assert internet.dialled == [("1.1.1.1", 1080)] * 2


@pytest.mark.parametrize("kind", KINDS)
async def test_next_address_of_a_proxy_is_tried_too(internet: Internet, kind: str) -> None:
    proxy = KINDS[kind]()
    async with serving(echo) as proxy.behind, proxy.running():
        internet.site("proxy.example", "1.1.1.1", proxy)
        internet.names["proxy.example"] = [["1.0.0.1", "1.1.1.1"]]  # nobody at the first
        way = Upstream(kind, Destination("proxy.example", 1080))
        async with guarding(upstream=way) as guard, browsing(guard) as browser:
            assert await browser.connect("site.example:81") == ESTABLISHED


def test_password_is_in_no_text_of_a_proxy() -> None:
    way = Upstream("http", Destination("proxy.example", 1), "user", "canary-1")
    assert "canary-1" not in repr(way) + str(way) + repr(Permit(Destination("a", 1), way))
    assert "user" in repr(way)


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
async def test_password_is_in_no_log_and_no_error(
    kind: str, right: bool, trusted: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    login = ("canary-u", "canary-1")
    proxy = SocksProxy(*login) if kind == "socks5" else HttpProxy(*login)
    site = Site()
    proxy.behind = site
    async with site.running(), proxy.running(trusted.server() if kind == "https" else None):
        given = "canary-1" if right else "canary-2"
        way = Upstream(kind, proxy.destination, "canary-u", given)
        async with guarding(upstream=way) as guard:
            async with browsing(guard) as browser:
                await browser.connect("site.example:80")
            async with browsing(guard) as browser:
                await browser.send(request("http://site.example/"))
                got = await browser.reader.read(1)
            text = reason(guard, "site.example")[1]
    assert bool(got) == right == bool(site.heads) == (text == "")
    records = repr([vars(record) for record in caplog.records])
    for canary in ("canary-1", "canary-2", "Y2FuYXJ5"):  # the last is base64 of its start
        assert canary not in caplog.text + records + text
