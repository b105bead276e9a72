"""What a guard refuses is not dialled, and what it lets through is what it has checked."""

from __future__ import annotations

import asyncio

import pytest

from captcha_bypass.egress import routes
from captcha_bypass.egress.guard import Guard
from captcha_bypass.egress.guards import Egress
from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import AllowedHost, Destination, Rules
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import TaskError
from tests.captcha_bypass.egress.servers import (
    LOCAL,
    Internet,
    browsing,
    echo,
    guarding,
    request,
    serving,
)

NOT_ESTABLISHED = b"HTTP/1.1 502 Bad Gateway"
INSIDE = (
    *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
    *("169.254.169.254", "168.63.129.16", "192.0.0.192", "100.100.100.200", "255.255.255.255"),
    *("224.0.0.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]", "[::]", "[::ffff:127.0.0.1]"),
    *("[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[::127.0.0.1]", "[fd00::1]"),
    *("[fe80::1]", "[fec0::1]", "[fd00:ec2::254]", "[2002:7f00:1::]", "[ff02::1]", "127.0.0.1."),
)


async def refused_in_plain(guard: Guard, host: str) -> bool:
    """Whether the browser gets not a single byte."""
    async with browsing(guard) as browser:
        await browser.send(request(f"http://{host}/"))
        return await browser.reader.read() == b""


async def refused_as_tunnel(guard: Guard, host: str) -> bool:
    """Whether the browser is told that there is no tunnel, and nothing more."""
    async with browsing(guard) as browser:
        first = await browser.connect(host)
        return first == NOT_ESTABLISHED and await browser.reader.read() == b""


def code(guard: Guard, host: str) -> str | None:
    error = guard.failure(f"http://{host}/")
    return None if error is None else error.code


@pytest.mark.parametrize("host", INSIDE)
@pytest.mark.parametrize(
    "rules", [LOCAL, Rules([AllowedHost.parse("0.0.0.0/0")], trust_named=False)]
)
async def test_nothing_inside_is_dialled_for_a_page(
    internet: Internet, host: str, rules: Rules
) -> None:
    async with guarding(rules=rules) as guard:
        assert await refused_in_plain(guard, f"{host}:8080")
        assert await refused_as_tunnel(guard, f"{host}:8443")
        # A name with a dot at its end is no address for the resolver that stands in here.
        expected = "dns_error" if host.endswith(".") else "blocked_address"
        assert code(guard, f"{host}:8080") == code(guard, f"{host}:8443") == expected
    assert internet.dialled == []


async def test_running_server_is_not_reached_by_a_page(internet: Internet) -> None:
    async with serving(echo) as server, guarding() as guard:
        for host in ("127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "127.1"):
            assert await refused_in_plain(guard, f"{host}:{server.port}")
            assert await refused_as_tunnel(guard, f"{host}:{server.port}")
        assert server.connections == 0


async def test_host_that_a_task_names_is_reached_on_that_port_only(internet: Internet) -> None:
    async with serving(echo) as named, serving(echo) as other:
        async with guarding(named.destination) as guard:
            for host in (
                f"127.0.0.1:{other.port}",
                f"localhost:{named.port}",
                f"[::1]:{named.port}",
            ):
                internet.names["localhost"] = [["127.0.0.1"]]
                assert await refused_as_tunnel(guard, host), host
            async with browsing(guard) as browser:
                assert await browser.connect(named.destination) != NOT_ESTABLISHED
        assert other.connections == 0
        assert named.connections == 1


async def test_guard_of_no_task_refuses_what_is_private() -> None:
    async with serving(echo) as server, Egress(LOCAL) as egress:
        guard = await egress.guard()
        assert await refused_as_tunnel(guard, f"127.0.0.1:{server.port}")
        assert server.connections == 0


async def test_name_is_resolved_once_and_only_the_checked_address_is_dialled(
    internet: Internet,
) -> None:
    async with serving(echo) as server, serving(echo) as inside, guarding() as guard:
        internet.site("rebinds.example", "1.1.1.1", server)
        internet.names["rebinds.example"] = [["1.1.1.1"], ["127.0.0.1"]]
        for _ in range(3):
            async with browsing(guard) as browser:
                assert await browser.connect(f"rebinds.example:{inside.port}") != NOT_ESTABLISHED
        assert internet.asked == ["rebinds.example"]
        assert internet.dialled == [("1.1.1.1", inside.port)] * 3
        assert inside.connections == 0


async def test_name_that_rebinds_for_another_port_is_refused_there(internet: Internet) -> None:
    async with serving(echo) as server, guarding() as guard:
        internet.site("rebinds.example", "1.1.1.1", server)
        internet.names["rebinds.example"] = [["1.1.1.1"], ["127.0.0.1"]]
        async with browsing(guard) as browser:
            assert await browser.connect("rebinds.example:80") != NOT_ESTABLISHED
        assert await refused_as_tunnel(guard, "rebinds.example:81")
        assert internet.dialled == [("1.1.1.1", 80)]


async def test_refused_name_that_is_public_later_is_reached(internet: Internet) -> None:
    async with serving(echo) as server, guarding() as guard:
        internet.site("later.example", "1.1.1.1", server)
        internet.names["later.example"] = [["127.0.0.1"], ["1.1.1.1"]]
        assert await refused_as_tunnel(guard, "later.example:80")
        assert code(guard, "later.example") == "blocked_address"
        async with browsing(guard) as browser:
            assert await browser.connect("later.example:80") != NOT_ESTABLISHED
        assert code(guard, "later.example") is None


@pytest.mark.parametrize(
    "answer", [["1.1.1.1", "127.0.0.1"], ["10.0.0.1", "1.1.1.1"], ["1.1.1.1", "::1"]]
)
async def test_name_with_one_private_address_is_refused(
    internet: Internet, answer: list[str]
) -> None:
    async with serving(echo) as server, guarding() as guard:
        internet.site("mixed.example", "1.1.1.1", server)
        internet.names["mixed.example"] = [answer]
        assert await refused_in_plain(guard, "mixed.example")
        assert await refused_as_tunnel(guard, "mixed.example:443")
        assert internet.dialled == []


async def test_named_private_name_is_dialled_where_it_was_resolved_to(internet: Internet) -> None:
    async with serving(echo) as server:
        internet.names["app.test"] = [["127.0.0.1"], ["10.0.0.1"]]
        place = Destination("app.test", server.port)
        async with guarding(place) as guard:
            for _ in range(2):
                async with browsing(guard) as browser:
                    assert await browser.connect(place) != NOT_ESTABLISHED
        assert internet.dialled == [("127.0.0.1", server.port)] * 2


async def test_all_addresses_of_a_name_are_tried(internet: Internet) -> None:
    async with serving(echo) as server, guarding() as guard:
        internet.site("two.example", "1.1.1.1", server)
        internet.names["two.example"] = [["1.0.0.1", "1.1.1.1"]]  # nobody at the first
        async with browsing(guard) as browser:
            assert await browser.connect("two.example:80") != NOT_ESTABLISHED


async def test_unknown_name_is_a_dns_error_until_it_is_known(internet: Internet) -> None:
    async with serving(echo) as server, guarding() as guard:
        for host in ("gone.example", "x" * 64 + ".example", "*.example"):
            assert await refused_in_plain(guard, host)
            assert code(guard, host) == "dns_error"
        assert guard._counts.failures == {"dns_error": 3}
        internet.site("gone.example", "1.1.1.1", server)
        async with browsing(guard) as browser:
            await browser.connect("gone.example:80")
        assert code(guard, "gone.example") is None
        assert code(guard, "gone.example:81") is None


async def test_closed_port_is_connection_refused_for_that_destination(internet: Internet) -> None:
    async with serving(echo) as server, guarding() as guard:
        internet.names["down.example"] = [["1.1.1.1"]]
        assert await refused_as_tunnel(guard, "down.example:80")
        assert await refused_in_plain(guard, "down.example")
        assert code(guard, "down.example") == "connection_refused"
        assert code(guard, "other.example") is None
        assert guard._counts.failures == {"connection_refused": 1}
        internet.places["1.1.1.1"] = server.port
        async with browsing(guard) as browser:
            await browser.connect("down.example:80")
        assert code(guard, "down.example") is None


async def test_site_that_does_not_answer_is_given_up(
    internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Future()

    monkeypatch.setattr(routes, "CONNECT_SECONDS", 0.01)
    monkeypatch.setattr(routes, "start_connection", never)
    internet.names["silent.example"] = [["1.1.1.1"]]
    async with guarding() as guard:
        assert await refused_as_tunnel(guard, "silent.example:80")
        assert code(guard, "silent.example") == "navigation_error"


async def test_errors_name_no_address_that_a_name_resolves_to(internet: Internet) -> None:
    internet.names["app.test"] = [["10.99.0.7"]]
    internet.names["down.example"] = [["1.1.1.1"]]
    async with guarding() as guard:
        for host in ("app.test", "down.example", "gone.example"):
            assert await refused_in_plain(guard, host)
            text = str(guard.failure(f"http://{host}/"))
            assert "10.99" not in text
            assert "1.1.1.1" not in text


async def test_refusal_ends_only_that_connection(internet: Internet) -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with serving(page) as server, guarding(server.url) as guard, browsing(guard) as kept:
        await kept.get(server.url)
        assert await refused_in_plain(guard, "10.0.0.1")
        assert await refused_as_tunnel(guard, "10.0.0.1:443")
        assert (await kept.get(server.url))[1] == b"ok"
        await kept.send(request("http://169.254.169.254/latest/meta-data/"))
        assert await kept.reader.read() == b""


@pytest.mark.parametrize(
    ("host", "proxy", "message"),
    [
        ("10.0.0.1", None, "10.0.0.1:80 is not on the public"),
        ("1.1.1.1", Upstream("http", Destination("10.0.0.1", 3128)), "The proxy: 10.0.0.1:3128 is"),
    ],
)
async def test_task_that_spells_a_private_address_is_refused_before_it_has_a_guard(
    host: str, proxy: Upstream | None, message: str
) -> None:
    async with Egress(Rules(trust_named=False)) as egress:
        with pytest.raises(TaskError, match=f"^{message}"):
            egress.check(Permit(Destination(host, 80), proxy))
        assert egress.counts.failures == {"blocked_address": 1}
        assert egress.guards == set()


async def test_operators_own_proxy_may_have_a_private_address() -> None:
    proxy = Upstream("http", Destination("10.0.0.1", 3128), trusted=True)
    async with Egress(Rules(trust_named=False)) as egress:
        egress.check(Permit(Destination("1.1.1.1", 80), proxy))
        assert egress.counts.failures == {}
