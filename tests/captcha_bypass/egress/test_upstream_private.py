"""A proxy is not asked for what is private, and is not private itself, unless that is allowed."""

from __future__ import annotations

import pytest

from captcha_bypass.egress.rules import AllowedHost, Destination, Rules
from captcha_bypass.egress.upstream import Upstream
from tests.captcha_bypass.egress.proxies import HttpProxy, Site, SocksProxy, fails, upstream
from tests.captcha_bypass.egress.servers import LOCAL, Internet, browsing, guarding, request

KINDS = {"http": HttpProxy, "socks5": SocksProxy}
SITE = "site.example"
INSIDE = (
    *("127.0.0.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.1.", "10.0.0.1", "192.168.1.1"),
    *("169.254.169.254", "168.63.129.16", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"),
    *(
        "[fd00:ec2::254]",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "router",
        "x.internal",
        "a.local",
    ),
)


@pytest.mark.parametrize("host", INSIDE)
@pytest.mark.parametrize("kind", KINDS)
async def test_proxy_is_not_asked_for_what_is_private(
    internet: Internet, kind: str, host: str
) -> None:
    proxy = KINDS[kind]()
    async with proxy.running(), guarding(upstream=upstream(proxy)) as guard:
        assert (await fails(guard, f"{host}:8080"))[0] == "blocked_address"
    assert proxy.connections == 0
    assert internet.dialled == []


@pytest.mark.parametrize("kind", KINDS)
async def test_refusal_ends_no_other_connection_to_the_proxy(kind: str) -> None:
    proxy, site = KINDS[kind](), Site()
    proxy.behind = site
    async with (
        site.running(),
        proxy.running(),
        guarding(upstream=upstream(proxy)) as guard,
        browsing(guard) as browser,
    ):
        await browser.get(f"http://{SITE}/")
        assert (await fails(guard, "10.0.0.1:8080"))[0] == "blocked_address"
        assert (await browser.get(f"http://{SITE}/"))[1] == b"hello"
        await browser.send(request("http://10.0.0.1/"))
        assert await browser.reader.read() == b""
    assert {host for host, _ in proxy.asked} == {SITE}


@pytest.mark.parametrize("kind", KINDS)
async def test_private_host_that_the_task_names_is_asked_for(kind: str) -> None:
    proxy, site = KINDS[kind](), Site()
    proxy.behind = site
    async with site.running(), proxy.running():
        named = Destination("10.0.0.1", 80)
        async with guarding(named, upstream=upstream(proxy)) as guard, browsing(guard) as browser:
            assert (await browser.get("http://10.0.0.1/"))[1] == b"hello"
            assert (await fails(guard, "10.0.0.1:81"))[0] == "blocked_address"
    assert proxy.asked == [("10.0.0.1", 80)]


@pytest.mark.parametrize(
    ("allowed", "passes"),
    [([], False), (["proxy.test"], True), (["proxy.test:1"], False), (["127.0.0.0/8"], True)],
)
@pytest.mark.parametrize("trust_named", [True, False])
@pytest.mark.parametrize("kind", KINDS)
async def test_proxy_that_is_private_itself_must_be_trusted_or_allowed(
    internet: Internet, kind: str, allowed: list[str], passes: bool, trust_named: bool
) -> None:
    proxy, site = KINDS[kind](), Site()
    proxy.behind = site
    rules = Rules([AllowedHost.parse(text) for text in allowed], trust_named=trust_named)
    internet.names["proxy.test"] = [["127.0.0.1"]]
    async with site.running(), proxy.running():
        way = Upstream(kind, Destination("proxy.test", proxy.port))
        async with guarding(upstream=way, rules=rules) as guard:
            if passes or trust_named:
                async with browsing(guard) as browser:
                    assert (await browser.get(f"http://{SITE}/"))[1] == b"hello"
            else:
                code, text = await fails(guard)
                assert code == "blocked_address"
                assert f"proxy.test:{proxy.port}" in text
                assert "127.0.0.1" not in text
                assert proxy.connections == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_page_may_not_lead_to_the_tasks_proxy_itself(kind: str) -> None:
    proxy = KINDS[kind]()
    async with proxy.running(), guarding(upstream=upstream(proxy), rules=LOCAL) as guard:
        host = f"127.0.0.1:{proxy.port}"
        assert (await fails(guard, host))[0] == "blocked_address"
    assert proxy.asked == []
