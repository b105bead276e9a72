"""Connections to the API: none that stays silent or deaf harms those that ask."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from captcha_bypass.api import connection as connection_module
from captcha_bypass.api import submission
from captcha_bypass.api.application import middlewares
from captcha_bypass.api.dashboard.access import DashboardAccess
from captcha_bypass.api.dashboard.logins import Logins
from captcha_bypass.api.door import Door
from captcha_bypass.api.large import json_response
from captcha_bypass.api.refusals import MAX_LINES, Refusals
from captcha_bypass.api.submission import read_body
from captcha_bypass.config import Config
from captcha_bypass.config.file_limit import MOST_FILES
from tests.support.scripted_queue import until

#: A fourth of which may be connections.
FILES = 64
MOST, MOST_OF_ONE = 16, 12
HALF = b"POST /solve HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
WHOLE = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass
class Served:
    port: int
    door: Door
    codes: list[str]
    #: Set to have `/held` answer, and how many ask for it.
    release: asyncio.Event = field(default_factory=asyncio.Event)
    holding: int = 0

    async def open(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        await writer.drain()
        return reader, writer

    async def get(self, path: str) -> tuple[int, object]:
        url = f"http://127.0.0.1:{self.port}/{path}"
        async with asyncio.timeout(30), aiohttp.request("GET", url) as response:
            return response.status, await response.json()


@asynccontextmanager
async def serving(files: int = FILES) -> AsyncIterator[Served]:
    codes: list[str] = []
    refusals = Refusals(codes.append)
    door = Door(refusals)
    access = DashboardAccess(Config(), Logins())
    passed = middlewares(Config(), refusals, access)
    app = web.Application(middlewares=[door.middleware(), *passed])

    async def health(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def held(request: web.Request) -> web.Response:
        served.holding += 1
        await served.release.wait()
        return web.json_response({})

    async def large(request: web.Request) -> web.Response:
        return json_response({"html": "x" * 30_000_000}, status=200)

    async def solve(request: web.Request) -> web.Response:
        await read_body(request)
        return web.json_response({})

    app.add_routes([web.get("/health", health), web.get("/held", held)])
    app.add_routes([web.get("/large", large), web.post("/solve", solve)])
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        assert runner.server is not None
        door.open_to(runner.server, files)
        server = await asyncio.get_running_loop().create_server(door, "127.0.0.1", 0)
        stack.callback(server.close)
        served = Served(server.sockets[0].getsockname()[1], door, codes)
        yield served


async def test_half_requests_without_number_leave_room_for_those_that_ask(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as served:
        writers = [(await served.open(HALF))[1] for _ in range(60)]
        for _ in range(20):
            assert await served.get("health") == (200, {"status": "ok"})
        assert set(served.codes) == {"idle_connection"}
        assert len(served.codes) >= 60 - MOST_OF_ONE
        assert len(caplog.records) == MAX_LINES, "not one for each"
        for writer in writers:
            writer.close()
        await until(lambda: not served.door.count)


async def test_requests_that_are_held_keep_their_connections_and_more_are_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as served:
        held = [asyncio.create_task(served.get("held")) for _ in range(MOST_OF_ONE)]
        await until(lambda: served.holding == MOST_OF_ONE)
        status, answer = await served.get("health")
        assert status == 503
        assert isinstance(answer, dict)
        assert answer["error"]["code"] == "too_many_connections"
        assert served.codes == ["too_many_connections"]
        (record,) = caplog.records
        assert (record.__dict__["code"], record.__dict__["client"]) == (*served.codes, "127.0.0.1")
        served.release.set()
        assert {status for status, _ in await asyncio.gather(*held)} == {200}
        assert (await served.get("health"))[0] == 200


async def test_one_address_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as served:
        held = [asyncio.create_task(served.get("held")) for _ in range(MOST_OF_ONE)]
        await until(lambda: served.holding == MOST_OF_ONE)
        connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
        url = f"http://127.0.0.1:{served.port}/health"
        async with aiohttp.ClientSession(connector=connector) as other, other.get(url) as response:
            assert response.status == 200
        served.release.set()
        await asyncio.gather(*held)


@pytest.mark.parametrize("sent", [b"", HALF, WHOLE % b"health"])
async def test_connection_that_asks_nothing_more_is_closed(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connection_module, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connection_module, "IDLE_SECONDS", 0.3)
    async with serving() as served:
        reader, writer = await served.open(sent)
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionResetError):  # noqa: PT012 - whenever it comes
                while await reader.read(100_000):
                    pass
                raise ConnectionResetError
        # One that was kept for another request, as connections are, is nothing to tell of.
        assert served.codes == ([] if b"health" in sent else ["slow_request"])
        writer.close()


async def test_head_without_end_is_cut_off_and_a_body_is_not_taken_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = b"X-%05d: " + b"y" * 1000 + b"\r\n"
    monkeypatch.setattr(connection_module, "ANSWER_SECONDS", 0.1)
    async with serving() as served:
        reader, writer = await served.open(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionError):  # noqa: PT012 - whenever it comes
                for number in range(200):
                    writer.write(line % number)
                    await writer.drain()
                    await asyncio.sleep(0.01)
        assert served.codes == ["large_head"]
        body = b"x" * 200_000
        head = b"POST /solve HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        reader, writer = await served.open()
        for _ in range(2):  # the second one's head counts anew
            for part in (head[:-3], head[-3:], body[:5], body[5:]):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.01)
            assert b" 200 " in await reader.readuntil(b"{}")
        writer.close()


async def test_body_that_does_not_come_is_a_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "BODY_SECONDS", 0.2)
    async with serving() as served:
        head = b"POST /solve HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
        reader, writer = await served.open(head)
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"}}")
        assert b" 408 " in answer
        assert b"body_timeout" in answer
        assert served.codes == ["body_timeout"]
        writer.close()


async def test_reader_that_reads_nothing_is_cut_off_and_costs_no_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "STALL_SECONDS", 0.5)
    async with serving() as served:
        clients = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(4)]
        for client in clients:
            client.sendall(WHOLE % b"large")
        await asyncio.sleep(0.2)
        assert all(buffer < 1_000_000 for buffer in served.door.buffers())
        await until(lambda: served.codes == ["slow_reader"] * 4)
        for client in clients:
            client.close()
        monkeypatch.undo()  # one that reads may be late on a busy machine
        status, answer = await served.get("large")
        assert status == 200
        assert isinstance(answer, dict)
        assert answer["html"] == "x" * 30_000_000


def test_soft_limit_of_open_files_is_raised() -> None:
    program = (
        "import resource\nfrom captcha_bypass.config.file_limit import raise_file_limit\n"
        "print(raise_file_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    command = ["sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    told, soft, hard = map(int, done.stdout.split())
    assert told == soft == min(hard, MOST_FILES)


def test_refusal_is_json_for_a_client_that_reads_it() -> None:
    head, _, body = connection_module._BUSY.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["error"]["code"] == "too_many_connections"
