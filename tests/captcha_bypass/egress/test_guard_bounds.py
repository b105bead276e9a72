"""A guard has bounds, and an end after which nothing of it is left."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from captcha_bypass.egress import connections, routes
from captcha_bypass.egress.guard import Guard
from captcha_bypass.egress.guards import Egress
from captcha_bypass.egress.routes import Permit
from tests.captcha_bypass.egress.servers import (
    LOCAL,
    START,
    Internet,
    browsing,
    echo,
    guarding,
    read_to_the_end,
    request,
    serving,
    start_tunnel,
)
from tests.support.service import eventually

# CPython forgets to close what it accepts while a server closes (gh-109564): its `__del__` does, whenever that
# runs, and in 3.12 and 3.13 fails as it has done so.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed (transport|<socket):ResourceWarning"),
    pytest.mark.filterwarnings(
        r"ignore:.*_SelectorTransport\.__del__:pytest.PytestUnraisableExceptionWarning"
    ),
]


@pytest.fixture(autouse=True)
def _collected_here() -> Iterator[None]:
    """No other test is told about this one's garbage."""
    yield
    gc.collect()


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send without end, whatever is asked."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(65536))
        await writer.drain()


async def cannot_connect(guard: Guard) -> bool:
    try:
        async with browsing(guard) as browser:
            return await browser.reader.read() == b""
    except OSError:
        return True


@pytest.mark.parametrize("kind", START)
async def test_task_that_moves_too_much_is_cut_off_for_good(kind: str) -> None:
    both = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await both.wait()
        await endless(reader, writer)

    async with (
        serving(flood) as server,
        serving(echo) as other,
        guarding(server.destination, max_task_bytes=1_000_000) as guard,
        browsing(guard) as browser,
        browsing(guard) as bystander,
        browsing(guard) as idle,
    ):
        calls = []
        guard.on_overrun = lambda: calls.append(guard.overrun)
        await idle.connect(server.destination)
        await START["tunnel"](bystander, server)
        await START[kind](browser, server)
        both.set()
        sizes = await asyncio.gather(read_to_the_end(browser), read_to_the_end(bystander))
        assert 800_000 < sum(sizes) <= 1_000_000
        assert await read_to_the_end(idle) == 0
        assert guard.overrun is not None
        assert guard.overrun.code == "too_much_traffic"
        assert "1000000 bytes (--max-task-bytes)" in str(guard.overrun)
        assert calls == [guard.overrun]
        assert await cannot_connect(guard)
        assert other.connections == 0


@pytest.mark.parametrize("kind", START)
async def test_what_a_browser_sends_counts_as_well(kind: str) -> None:
    async def sink(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    async with (
        serving(sink) as server,
        guarding(server.destination, max_task_bytes=100_000) as guard,
        browsing(guard) as browser,
    ):
        if kind == "tunnel":
            await browser.connect(server.destination)
        else:
            await browser.send(request(server.url, "POST", b"Content-Length: 1000000\r\n"))
        browser.writer.write(bytes(1_000_000))
        await read_to_the_end(browser)
        assert guard.overrun is not None


async def test_exactly_what_a_task_may_move_is_no_overrun() -> None:
    async with (
        serving(echo) as server,
        guarding(server.destination, max_task_bytes=2 * 65536) as guard,
        browsing(guard) as browser,
    ):
        await browser.connect(server.destination)
        await browser.send(bytes(65536))
        assert len(await browser.reader.readexactly(65536)) == 65536
        assert guard.overrun is None
        await browser.send(b"x")
        await read_to_the_end(browser)
        assert guard.overrun is not None


async def test_one_guard_that_is_full_does_not_touch_another() -> None:
    async with serving(endless) as flood, serving(echo) as server, Egress(LOCAL, 500_000) as egress:
        full, fine = await egress.guard(), await egress.guard()
        full.admit(Permit(flood.destination))
        fine.admit(Permit(server.destination))
        async with browsing(full) as browser, browsing(fine) as other:
            await other.connect(server.destination)
            await start_tunnel(browser, flood)
            await read_to_the_end(browser)
            await other.send(b"still here")
            assert await other.reader.readexactly(10) == b"still here"
        assert full.overrun is not None
        assert fine.overrun is None


async def test_connections_are_bounded_and_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    async with (
        serving(echo) as server,
        guarding(server.destination) as guard,
        browsing(guard) as first,
        browsing(guard) as second,
    ):
        await first.connect(server.destination)
        await second.connect(server.destination)
        async with browsing(guard) as third:
            assert await read_to_the_end(third) == 0
        assert guard._counts.failures == {"too_many_connections": 1}
        first.writer.write_eof()
        assert await first.reader.read() == b""
        assert await eventually(lambda: guard._open == 1, 10)
        async with browsing(guard) as fourth:
            assert (await fourth.connect(server.destination)).endswith(b"established")


async def test_pages_that_take_all_connections_leave_others_their_share(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limits = (connections.RESERVED_FILES + 200, 10_000)
    monkeypatch.setattr("resource.getrlimit", lambda _: limits)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(echo))
        egress = await stack.enter_async_context(Egress(LOCAL))
        all_guards = [await egress.guard() for _ in range(5)]
        for guard in all_guards:
            guard.admit(Permit(server.destination))

        async def take(guard: Guard, count: int) -> int:
            """Open so many tunnels; how many there are then."""
            got = 0
            for _ in range(count):
                browser = await stack.enter_async_context(browsing(guard))
                try:
                    got += (await browser.connect(server.destination)).endswith(b"established")
                except (OSError, EOFError):
                    continue
            return got

        greedy = [await take(guard, 60) for guard in all_guards[:2]]
        assert greedy == [50, 10]  # the first half goes to the first, then each has its share
        assert [await take(guard, 12) for guard in all_guards[2:]] == [10, 10, 10]
        assert egress.open_connections == 90 <= connections.most_connections()
        assert egress.counts.failures == {"too_many_connections": 5}  # once a task
        assert len([r for r in caplog.records if "too many connections" in r.message]) == 5
    assert egress.open_connections == 0


async def test_of_the_destinations_a_page_tries_in_vain_the_last_are_known(
    internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("captcha_bypass.egress.guard.MAX_FAILURES", 3)
    async with guarding() as guard:
        for name in "abcda":
            async with browsing(guard) as browser:
                await browser.send(request(f"http://{name}.example/"))
                assert await browser.reader.read() == b""
        known = [name for name in "abcd" if guard.failure(f"http://{name}.example/")]
        assert known == ["a", "c", "d"]
        error = guard.failure("http://a.example/")
        assert error is not None
        assert error.__traceback__ is None  # it would hold all that its frames hold


async def test_addresses_are_kept_for_a_bounded_number_of_destinations(
    internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "MAX_KNOWN", 2)
    async with serving(echo) as server, guarding() as guard:
        for name in "abca":
            internet.site(f"{name}.example", "1.1.1.1", server)
            async with browsing(guard) as browser:
                await browser.connect(f"{name}.example:80")
        assert len(guard._router._known) <= 2
        internet.names["a.example"] = [["127.0.0.1"]]
        internet.names["b.example"] = [["127.0.0.1"]]
        for name, first in (("a", b"HTTP/1.1 200"), ("b", b"HTTP/1.1 502")):
            async with browsing(guard) as browser:
                assert (await browser.connect(f"{name}.example:80")).startswith(first)


@pytest.mark.parametrize("kind", START)
async def test_close_cuts_what_is_running(kind: str) -> None:
    async with (
        serving(endless) as server,
        guarding(server.destination) as guard,
        browsing(guard) as browser,
    ):
        await START[kind](browser, server)
        await browser.reader.readexactly(1_000_000)
        assert serving_tasks()
        await guard.close()
        assert serving_tasks() == []
        await read_to_the_end(browser)
        assert await cannot_connect(guard)
        await guard.close()  # again is fine


@pytest.mark.parametrize("steps", range(6))
async def test_connection_taken_while_the_guard_closes_is_not_served(steps: int) -> None:
    async with serving(echo) as server, Egress(LOCAL) as egress:
        guard = await egress.guard()
        guard.admit(Permit(server.destination))
        with socket.create_connection(("127.0.0.1", int(guard.url[17:]))) as late:
            late.sendall(request(server.url))
            for _ in range(steps):
                await asyncio.sleep(0)
            await guard.close()
            for _ in range(6):
                await asyncio.sleep(0)
                assert serving_tasks() == []


async def test_end_of_the_egress_closes_guards_left_open() -> None:
    async with serving(echo) as server, Egress(LOCAL) as egress:
        guard = await egress.guard()
        guard.admit(Permit(server.destination))
        async with browsing(guard) as browser:
            await browser.connect(server.destination)
            assert egress.guards == {guard}
            await egress.__aexit__(None, None, None)
            assert egress.guards == set()
            assert await read_to_the_end(browser) == 0
            assert await cannot_connect(guard)


#: Where the guards' code is.
GUARDS = Path(connections.__file__).parent


def serving_tasks() -> list[str]:
    """Tasks that run code of guards."""
    return [text for text in map(repr, asyncio.all_tasks()) if str(GUARDS) in text]


def held() -> tuple[int, int, int]:
    """What this process holds: file descriptors, sockets, tasks."""
    gc.collect()
    process = psutil.Process()
    return process.num_fds(), len(process.net_connections()), len(asyncio.all_tasks())


@pytest.mark.parametrize("leaves", [True, False])
async def test_nothing_is_left_of_a_guard_whenever_it_is_closed(leaves: bool) -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.read()

    async with serving(page) as server, Egress(LOCAL) as egress:

        async def once(steps: int) -> None:
            guard = await egress.guard()
            guard.admit(Permit(server.destination))
            async with browsing(guard) as tunnel, browsing(guard) as plain:
                await start_tunnel(tunnel, server)
                await tunnel.answer()
                await plain.get(server.url)
                with socket.create_connection(("127.0.0.1", int(guard.url[17:]))) as late:
                    late.sendall(request(server.url))
                    if leaves:
                        plain.writer.transport.abort()
                        tunnel.writer.transport.abort()
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    await guard.close()
                    assert serving_tasks() == []
                    await read_to_the_end(plain)
            await server.idle()

        await once(5)
        before = held()
        for steps in range(50):
            await once(steps // 2)

        def is_none_left() -> bool:
            """What a transport has closed may still be on its way out."""
            return all(now <= then for now, then in zip(held(), before, strict=True))

        assert await eventually(is_none_left, 10), (held(), before)
