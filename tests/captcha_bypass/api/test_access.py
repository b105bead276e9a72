"""What the service does before a route sees a request: keys, names of this machine, broken HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from unittest.mock import AsyncMock

import pytest
from pydantic import SecretStr

from captcha_bypass import app as app_module
from captcha_bypass.api import door
from captcha_bypass.api.access import which_key
from captcha_bypass.app import serve
from captcha_bypass.config import Config
from captcha_bypass.status import Browsers
from tests.support.fake_browsers import FakeEngine

KEY, OTHER_KEY = "CANARY-key-1", "CANARY-key-2"
TASK: dict[str, Any] = {"url": "http://site.test/", "no_challenge": True, "timeout": 10}


class NoBrowsers:
    """Stands in for the pool: tasks wait for ever."""

    is_ready, unavailable = True, None

    def __init__(self, *_: object, **__: object) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def counts(self) -> Browsers:
        return Browsers([], 0, {})

    async def ready(self) -> None:
        """At once."""

    async def broken(self) -> None:
        await asyncio.Future()

    def page(self, *_: object, **__: object) -> AbstractAsyncContextManager[None]:
        @asynccontextmanager
        async def lend() -> AsyncIterator[None]:
            await asyncio.Future()
            yield

        return lend()


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


class Peer:
    """Sends requests byte by byte, so that nothing is added or corrected on the way."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    async def raw(self, data: bytes) -> Answer:
        """Send and read until the answer is complete; the request need not be."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            async with asyncio.timeout(10):
                writer.write(data)
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = head.splitlines()
                fields = [line.partition(": ") for line in lines[1:] if line]
                headers = [(name, value) for name, _, value in fields]
                length = int(dict(headers).get("Content-Length", 0))
                length = 0 if data.startswith(b"HEAD ") else length
                body = await reader.readexactly(length)
        finally:
            writer.close()
        return Answer(int(lines[0].split()[1]), headers, body.decode())

    async def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: str = ""
    ) -> Answer:
        """Send a request; without a Host of its own it has that of the address."""
        fields = {"Host": f"{self.host}:{self.port}", **(headers or {})}
        if body:
            fields["Content-Length"] = str(len(body))
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", body]
        return await self.raw("\r\n".join(lines).encode("utf-8", "surrogateescape"))

    async def solve(self, **headers: str) -> Answer:
        fields = {"Content-Type": "application/json", **headers}
        return await self.request("POST", "/solve", fields, json.dumps(TASK))


MakePeer = Callable[..., AbstractAsyncContextManager[Peer]]


@pytest.fixture
def make_peer(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> MakePeer:
    """The program's own `serve`, without browsers, until the block ends."""
    monkeypatch.setattr(app_module, "BrowserPool", NoBrowsers)
    monkeypatch.setattr(app_module, "find_engine", AsyncMock(return_value=FakeEngine()))
    monkeypatch.setattr("captcha_bypass.shutdown.LINGER_SECONDS", 0.0)
    caplog.set_level(logging.DEBUG)

    @asynccontextmanager
    async def make(**settings: object) -> AsyncIterator[Peer]:
        config = Config(**{"port": 0, "shutdown_timeout": 0, "workers": 1, **settings})  # type: ignore[arg-type]
        running = asyncio.create_task(serve(config))
        printed = ""
        while not (match := re.search(r"http://\S+:(\d+)", printed)):
            assert not running.done(), running
            await asyncio.sleep(0.005)
            printed += capsys.readouterr().out
        try:
            yield Peer("127.0.0.1", int(match[1]))
        finally:
            if not running.done():
                os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(10):
                await running

    return make


# Keys


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY} "},
        {"X-API-Key": KEY},
        {"x-api-key": OTHER_KEY},
        {"Authorization": f"Bearer {OTHER_KEY}"},
        {"Authorization": "Basic eDp5", "X-API-Key": KEY},
        {"Authorization": f"Bearer {KEY}", "X-API-Key": "wrong"},
    ],
)
async def test_any_of_the_keys_in_either_header_opens(
    make_peer: MakePeer, headers: dict[str, str]
) -> None:
    async with make_peer(api_key=(KEY, OTHER_KEY)) as peer:
        assert (await peer.solve(**headers)).status == 202


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": KEY},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": f"Bearer{KEY}"},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": f"Bearer {KEY.lower()}"},
        {"Authorization": f"Bearer {KEY},{OTHER_KEY}"},
        {"X-API-Key": ""},
        {"X-API-Key": f"Bearer {KEY}"},
        {"X-API-Key": "\udcff\udcfe"},
        {"X-API-Key": "\N{SNOWMAN}"},
        {"Cookie": f"api_key={KEY}"},
    ],
)
async def test_without_a_key_it_is_401_that_names_both_headers(
    make_peer: MakePeer, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    async with make_peer(api_key=(KEY, OTHER_KEY)) as peer:
        answer = await peer.solve(**headers)
        health = json.loads((await peer.request("GET", "/health")).body)
        assert (health["running"], health["queue"]) == (0, 0)
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == "Bearer"
    assert answer.error["code"] == "unauthorized"
    assert "Authorization: Bearer" in answer.error["message"]
    assert "X-API-Key" in answer.error["message"]
    assert "CANARY" not in answer.body + str(answer.headers) + json.dumps(health)
    assert "CANARY" not in caplog.text


async def test_connections_that_say_nothing_leave_room_and_are_counted(
    make_peer: MakePeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "MOST_CONNECTIONS", 16)
    async with make_peer(api_key=(KEY,)) as peer, AsyncExitStack() as stack:
        for _ in range(40):
            _, writer = await asyncio.open_connection(peer.host, peer.port)
            stack.callback(writer.close)
            writer.write(b"POST /solve HTTP/1.1\r\nX-Slow: ")
        assert (await peer.request("GET", "/health")).status == 200
        metrics = await peer.request("GET", "/metrics", {"X-API-Key": KEY})
    found = re.search(r'captcha_bypass_refused_total{code="idle_connection"} (\d+)', metrics.body)
    assert found
    assert int(found[1]) >= 40 - 16


async def test_only_asking_for_health_is_open(make_peer: MakePeer) -> None:
    async with make_peer(api_key=(KEY,)) as peer:
        for method in ("GET", "HEAD"):
            assert (await peer.request(method, "/health")).status == 200
            assert (await peer.request(method, "/live")).status == 200
        for method, path in [("POST", "/health"), ("GET", "/health/"), ("GET", "//health")]:
            assert (await peer.request(method, path)).status == 401, (method, path)


async def test_unknown_paths_and_methods_cannot_be_told_from_known_ones(
    make_peer: MakePeer,
) -> None:
    paths = ["/", "/nope", "/solve", "/result/x", "/task/x", "/openapi.json", "/v1", "/%00"]
    async with make_peer(api_key=(KEY,)) as peer:
        answers = {
            (answer.status, answer.body)
            for path in paths
            for method in ("GET", "POST", "DELETE", "OPTIONS", "PATCH")
            if method != "POST" or path not in ("/", "/v1")  # FlareSolverr's answers to commands
            for answer in [await peer.request(method, path)]
        }
        whole_server = await peer.request("OPTIONS", "*")
        answers.add((whole_server.status, whole_server.body))
        assert {status for status, _ in answers} == {401}
        assert len(answers) == 1
        assert (await peer.request("GET", "/nope", {"X-API-Key": KEY})).status == 404


async def test_key_is_asked_for_before_the_body_is_read(make_peer: MakePeer) -> None:
    head = "POST /solve HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    async with make_peer(api_key=(KEY,)) as peer:
        for length in (
            "Content-Length: 1000",
            "Content-Length: 99999999",
            "Transfer-Encoding: chunked",
        ):
            answer = await peer.raw(f"{head}{length}\r\n\r\n".encode())
            assert answer.status == 401


async def test_key_of_a_file_opens(make_peer: MakePeer, tmp_path: Any) -> None:  # noqa: ANN401
    (tmp_path / "keys").write_text(f"# old\n{OTHER_KEY}\n# new\n{KEY}\n")
    async with make_peer(api_key_file=str(tmp_path / "keys")) as peer:
        assert (await peer.solve(**{"X-API-Key": KEY})).status == 202
        assert (await peer.solve(**{"X-API-Key": OTHER_KEY})).status == 202
        assert (await peer.solve(**{"X-API-Key": "# old"})).status == 401


async def test_broken_request_with_a_key_leaves_no_key_and_no_traceback_in_the_log(
    make_peer: MakePeer, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_peer(api_key=(KEY,)) as peer:
        for line in (f"X-API-Key {KEY}", f"X-API-Key: {KEY}\0", f"X-API-Key: {KEY * 1000}"):
            answer = await peer.raw(f"GET /health HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode())
            assert answer.status == 400
    assert "CANARY" not in caplog.text
    assert "Traceback" not in caplog.text


def test_a_key_is_compared_with_every_key_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("captcha_bypass.api.access.compare_digest", compare)
    keys = [SecretStr(KEY), SecretStr(OTHER_KEY), SecretStr("third-key")]
    assert which_key(KEY, keys) == 0
    assert compared == [(KEY.encode(), key.get_secret_value().encode()) for key in keys]


@pytest.mark.parametrize("presented", ["", "x", "\ud800", "\N{SNOWMAN}", "\0", "x" * 10**6])
def test_any_text_may_be_presented_as_a_key(presented: str) -> None:
    assert which_key(presented, [SecretStr(KEY)]) is None
    assert which_key(presented, []) is None


# The warning


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({"host": "0.0.0.0"}, True),
        ({"host": "0.0.0.0", "api_key": (KEY,)}, False),
        ({"host": "127.0.0.1"}, False),
    ],
)
async def test_service_that_is_open_beyond_loopback_warns_at_its_start(
    make_peer: MakePeer, caplog: pytest.LogCaptureFixture, settings: dict[str, Any], warned: bool
) -> None:
    async with make_peer(**settings):
        pass
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [settings["host"] in line and "--api-key" in line for line in lines] == [True] * warned


# The Host header


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:80", "localhost.", "127.0.0.1", "127.0.0.1:1", "127.9.8.7:65535"),
        *("[::1]", "[::1]:8191", "[0:0:0:0:0:0:0:1]", "captcha.localhost", "a.b.LocalHost.:5"),
    ],
)
async def test_names_of_this_machine_are_answered(make_peer: MakePeer, host: str) -> None:
    async with make_peer() as peer:
        assert (await peer.solve(Host=host)).status == 202


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.test",
            "evil.test:8191",
            "localhost.evil.test",
            "evillocalhost",
            "127.0.0.1.nip.io",
        ),
        *(
            "10.0.0.1",
            "0.0.0.0",
            "128.0.0.1",
            "[::2]",
            "[::]",
            "::1",
            "[::1",
            "[::1]x",
            "[localhost]",
        ),
        *(
            "",
            ":",
            ":80",
            ".",
            "localhost:http",
            "localhost:80:80",
            "user@localhost",
            "a/.localhost",
        ),
        *(
            "localhost, evil.test",
            "127.0.0.1 evil.test",
            "loc\N{LATIN SMALL LETTER LONG S}",
            "\udcff",
        ),
        *("evil.test#.localhost", "2130706433", "localhost\t.evil.test", "[[::1]]", "x" * 7000),
    ],
)
async def test_name_of_another_machine_is_403_that_says_what_to_do(
    make_peer: MakePeer, host: str
) -> None:
    async with make_peer() as peer:
        answer = await peer.solve(Host=host)
        assert answer.status == 403
        assert answer.error["code"] == "host_not_allowed"
        assert "http://127.0.0.1:PORT" in answer.error["message"]
        assert "--api-key" in answer.error["message"]
        health = json.loads((await peer.request("GET", "/health")).body)
        assert (health["running"], health["queue"]) == (0, 0)


async def test_request_without_a_host_or_with_two_is_not_answered(make_peer: MakePeer) -> None:
    async with make_peer() as peer:
        assert (await peer.raw(b"GET /health HTTP/1.0\r\n\r\n")).status == 403
        assert (await peer.raw(b"GET /health HTTP/1.1\r\n\r\n")).status in (400, 403)
        two = b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n"
        assert (await peer.raw(two)).status in (400, 403)


@pytest.mark.parametrize("path", ["/health", "/solve", "/result/x", "/openapi.json", "/nope"])
async def test_no_route_answers_another_machines_name(make_peer: MakePeer, path: str) -> None:
    async with make_peer() as peer:
        assert (await peer.request("GET", path, {"Host": "evil.test"})).status == 403


@pytest.mark.parametrize("settings", [{"api_key": (KEY,)}, {"host": "0.0.0.0"}], ids=str)
async def test_any_host_is_answered_with_a_key_or_beyond_loopback(
    make_peer: MakePeer, settings: dict[str, Any]
) -> None:
    async with make_peer(**settings) as peer:
        assert (await peer.solve(**{"Host": "captcha.example", "X-API-Key": KEY})).status == 202


# Other origins


@pytest.mark.parametrize("settings", [{}, {"api_key": (KEY,)}], ids=["open", "with a key"])
async def test_no_page_of_another_origin_is_ever_allowed_in(
    make_peer: MakePeer, settings: dict[str, Any]
) -> None:
    origin = {"Origin": "https://evil.test"}
    preflight = {
        **origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, x-api-key",
        "Access-Control-Request-Private-Network": "true",
    }
    async with make_peer(**settings) as peer:
        for extra in ({}, {"X-API-Key": KEY}):
            answers = [await peer.solve(**origin, **extra)]
            for path in ("/solve", "/result/x", "/task/x", "/health", "/openapi.json", "/nope"):
                answers.append(await peer.request("GET", path, origin | extra))
                answers.append(await peer.request("OPTIONS", path, preflight | extra))
                assert answers[-1].status in (401, 404, 405)
            for answer in answers:
                names = {name.lower() for name, _ in answer.headers}
                assert not [name for name in names if name.startswith("access-control-")]


# What is not HTTP

HOST = "Host: localhost\r\n"
BROKEN = {
    "long request line": f"GET /{'x' * 9000} HTTP/1.1\r\n{HOST}\r\n",
    "very long request line": f"GET /{'x' * 2_000_000} HTTP/1.1\r\n{HOST}\r\n",
    "long header": f"GET /health HTTP/1.1\r\n{HOST}X-A: {'x' * 9000}\r\n\r\n",
    "long header name": f"GET /health HTTP/1.1\r\n{HOST}{'x' * 9000}: x\r\n\r\n",
    "many headers": "\r\n".join(
        ["GET /health HTTP/1.1", "Host: localhost", *(f"X-{n}: x" for n in range(500)), "", ""]
    ),
    "no HTTP": "\x16\x03\x01\x02\r\n\r\n",
    "bad version": f"GET /health HTTP/9.1\r\n{HOST}\r\n",
    "bad length": f"POST /solve HTTP/1.1\r\n{HOST}Content-Length: -5\r\n\r\n",
    "bad chunk": f"POST /solve HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\nxx",
    "bad target": f"GET http://[::1 HTTP/1.1\r\n{HOST}\r\n",
}


@pytest.mark.parametrize("case", BROKEN, ids=str)
async def test_what_is_not_http_is_400_in_few_words_and_fills_no_log(
    make_peer: MakePeer, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    async with make_peer() as peer:
        answer = await peer.raw(BROKEN[case].encode())
        assert answer.status == 400
        assert len(answer.body) < 300
        assert "Traceback" not in answer.body
        assert (await peer.request("GET", "/health")).status == 200
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
