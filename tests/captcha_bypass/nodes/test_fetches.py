"""Requests go to the node which has their session, over real HTTP; and how that fails."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from io import BytesIO

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from captcha_bypass.errors import (
    CaptchaBypassError,
    FieldError,
    InvalidRequest,
    NotFound,
    ShuttingDown,
    TaskError,
    UnexpectedError,
)
from captcha_bypass.fetching.messages import AnswerTooLarge, ChallengeNotPassed
from captcha_bypass.nodes.fetches import PATH, NodeFetches, home_of
from captcha_bypass.tasks.fleet.queue import FleetQueue
from captcha_bypass.wire.fetch import Fetched, FetchRequest, Obstacle
from tests.captcha_bypass.tasks.fleet.conftest import MakeNode
from tests.support.scripted_queue import at_once, until

MAX_BYTES = 1024 * 1024
Here = Callable[[FetchRequest, str], Awaitable[Fetched]]


def request_of(**fields: object) -> FetchRequest:
    return FetchRequest.model_validate({"url": "https://x.test/", "timeout": 5, **fields})


def fetched(body: bytes) -> Fetched:
    return Fetched(200, (("a", "b"),), "https://x.test/", body, None, None, "agent")


class Local:
    """What a node does with the requests of its own sessions."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[tuple[FetchRequest, str]] = []
        self.fails: CaptchaBypassError | None = None
        self.holds: asyncio.Event | None = None

    async def fetch(self, request: FetchRequest, owner: str) -> Fetched:
        self.seen.append((request, owner))
        if self.holds is not None:
            await self.holds.wait()
        if self.fails is not None:
            raise self.fails
        return fetched(self.name.encode() + b":" + (request.content or b""))


class Node:
    def __init__(self, queue: FleetQueue, local: Local, fetches: NodeFetches) -> None:
        self.queue = queue
        self.local = local
        self.fetches = fetches
        self.server: TestServer

    @property
    def url(self) -> str:
        return str(self.server.make_url(""))


@web.middleware
async def refusing(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """As the API says that there is no such route."""
    try:
        return await handler(request)
    except NotFound as error:
        told = {"error": {"code": error.code, "message": str(error)}}
        return web.json_response(told, status=404)


@pytest.fixture
async def nodes(make_node: MakeNode) -> AsyncIterator[list[Node]]:
    """The first has no slots, the second has."""
    async with AsyncExitStack() as stack:
        found: list[Node] = []
        for name, slots in (("api", 0), ("solver", 1)):
            queue, local = await make_node(name), Local(name)
            fetches = NodeFetches(local, queue.homes, lambda request: None, max_bytes=MAX_BYTES)
            await stack.enter_async_context(fetches.opened())
            app = web.Application(middlewares=[refusing])
            app.add_routes(fetches.routes())
            node = Node(queue, local, fetches)
            node.server = TestServer(app)
            await node.server.start_server()
            stack.push_async_callback(node.server.close)
            await queue.homes.know_each_other(("new", "old"))
            queue.homes.url = node.url.rstrip("/")
            await queue.start(at_once if slots else None, slots)
            found.append(node)
            await queue._store.beat(queue.node, name, slots, queue.homes.url, "", {})
        yield found


async def failure(node: Node, request: FetchRequest) -> CaptchaBypassError:
    with pytest.raises(CaptchaBypassError) as caught:
        await node.fetches.fetch(request, "key 0")
    return caught.value


async def test_request_and_owner_reach_the_node_with_slots_and_its_answer_comes_back(
    nodes: list[Node],
) -> None:
    api, solver = nodes
    proxy = {"server": "http://p.test:1", "username": "u", "password": "secret"}
    request = request_of(method="POST", body="text", proxy=proxy, session="s")
    assert await api.fetches.fetch(request, "key 0") == fetched(b"solver:text")
    ((asked, owner),) = solver.local.seen
    assert owner == "key 0"
    assert asked.proxy == request.proxy
    assert api.local.seen == []


async def test_node_that_has_the_session_itself_asks_no_other(nodes: list[Node]) -> None:
    _, solver = nodes
    assert await solver.fetches.fetch(request_of(), "") == fetched(b"solver:")


async def test_largest_body_goes_through_and_comes_back(nodes: list[Node]) -> None:
    body = "x" * MAX_BYTES
    answer = await nodes[0].fetches.fetch(request_of(method="POST", body=body), "")
    assert answer.body == b"solver:" + body.encode()


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest([FieldError("headers.x", "a page cannot send it")]),
        ShuttingDown(),
        TaskError("session_lost", "gone"),
        TaskError("too_many_sessions", "many"),
        AnswerTooLarge("large"),
        ChallengeNotPassed("no", Obstacle(challenge="cloudflare")),
    ],
    ids=lambda error: error.code,
)
async def test_error_of_the_other_node_is_the_same_here(
    nodes: list[Node], error: CaptchaBypassError
) -> None:
    api, solver = nodes
    solver.local.fails = error
    found = await failure(api, request_of(session="s"))
    assert (type(found), found.code, str(found)) == (type(error), error.code, str(error))
    assert getattr(found, "obstacle", None) == getattr(error, "obstacle", None)


# Nodes that go


async def test_session_of_a_node_that_is_gone_is_lost_once(nodes: list[Node]) -> None:
    api, solver = nodes
    await api.fetches.fetch(request_of(session="s"), "")
    await solver.server.close()
    assert (await failure(api, request_of(session="s"))).code == "session_lost"
    assert len(solver.local.seen) == 1


async def test_request_without_a_session_goes_on_to_another_node_if_none_was_asked(
    nodes: list[Node], make_node: MakeNode
) -> None:
    api, solver = nodes
    await api.fetches.fetch(request_of(), "")
    await solver.server.close()
    await solver.queue.stop(0)
    await solver.queue.close()
    api.queue._slots = 1
    await api.queue._store.beat(api.queue.node, "api", 1, api.queue.homes.url, "", {})
    assert await api.fetches.fetch(request_of(), "") == fetched(b"api:")


@pytest.mark.parametrize("how", ["closed", "reset"])
@pytest.mark.parametrize("session", ["s", None])
async def test_request_that_was_under_way_at_a_nodes_death_is_not_sent_again(
    nodes: list[Node], how: str, session: str | None
) -> None:
    api, solver = nodes
    solver.local.holds = asyncio.Event()
    asking = asyncio.create_task(failure(api, request_of(session=session)))
    await until(lambda: len(solver.local.seen) == 1)
    assert solver.server.runner is not None
    server = solver.server.runner.server
    assert isinstance(server, web.Server)
    for connection in server.connections:
        assert connection.transport is not None
        if how == "reset":
            found = connection.transport.get_extra_info("socket")
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.transport.abort()
    assert (await asking).code == "session_lost"
    assert len(solver.local.seen) == 1
    assert api.local.seen == []


async def test_no_node_with_slots_is_told(nodes: list[Node]) -> None:
    api, solver = nodes
    await solver.queue.close()
    error = await failure(api, request_of())
    assert (error.code, "has browsers" in str(error)) == ("browser_unavailable", True)


async def test_node_that_others_cannot_reach_is_told_with_the_remedy(nodes: list[Node]) -> None:
    api, solver = nodes
    await api.queue._store.beat(solver.queue.node, "solver", 1, "", "", {})
    error = await failure(api, request_of())
    assert error.code == "browser_unavailable"
    assert "--node-url" in str(error)


@pytest.mark.parametrize("wrong", ["of the asking node itself", "of a node in its place"])
async def test_address_where_another_node_answers_is_told_and_serves_no_session_silently(
    nodes: list[Node], caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    api, solver = nodes
    if wrong == "of the asking node itself":  # both on 127.0.0.1, of two machines
        await api.queue._store.beat(solver.queue.node, "solver", 1, api.queue.homes.url, "", {})
    else:  # it was started anew
        solver.queue.homes.node = "another"
    error = await failure(api, request_of(session="s"))
    assert (error.code, "cannot be reached" in str(error)) == ("session_lost", True)
    (record,) = [each for each in caplog.records if "cannot be reached" in each.message]
    assert "another node answers there; see --node-url" in record.message
    assert api.local.seen == solver.local.seen == []


# Who may ask


async def test_node_with_another_secret_is_a_stranger_and_hears_of_no_route(
    nodes: list[Node],
) -> None:
    api, solver = nodes
    api.queue.homes.secrets = ("another",)
    error = await failure(api, request_of())
    assert isinstance(error, UnexpectedError)
    assert "answered with 404" in str(error)
    assert "--queue-secret" in str(error)
    assert solver.local.seen == []


async def test_node_that_still_says_the_old_secret_is_known(nodes: list[Node]) -> None:
    api, _ = nodes
    api.queue.homes.secrets = ("old",)
    assert await api.fetches.fetch(request_of(), "") == fetched(b"solver:")


@pytest.mark.parametrize("header", ["", "Node", "Node ", "Node wrong", "Bearer new", "Node n\xffw"])
async def test_stranger_is_answered_as_if_there_were_nothing(
    nodes: list[Node], header: str
) -> None:
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": header}
        async with session.post(f"{nodes[1].url}{PATH}", headers=headers) as answer:
            assert answer.status == 404


@pytest.mark.parametrize("letter", [b"", b"\x00\x00\x00\x02{}", b"x" * 100])
async def test_letter_that_is_none_is_refused(nodes: list[Node], letter: bytes) -> None:
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": "Node new"}
        url = f"{nodes[1].url}{PATH}"
        async with session.post(url, headers=headers, data=letter) as answer:
            assert answer.status == 400


async def test_letter_over_the_bound_is_refused_before_it_is_read(nodes: list[Node]) -> None:
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": "Node new"}
        url = f"{nodes[1].url}{PATH}"
        letter = b"\x00\x00\x00\x02{}" + b"x" * (4 * MAX_BYTES)
        try:
            async with session.post(url, headers=headers, data=BytesIO(letter)) as told:
                assert told.status == 400
        except aiohttp.ClientConnectionError:
            pass  # it was closed while this was still writing
    assert nodes[1].local.seen == []


# Homes


def test_home_is_the_session_or_what_a_site_has_one_of() -> None:
    assert home_of(request_of(session="s"), "key 0", None) == "session:key 0:s"
    found = {
        home_of(request_of(**fields), owner, None)
        for owner in ("", "key 0")
        for fields in ({}, {"jar": "j"}, {"url": "https://y.test/"}, {"url": "https://x.test:1/"})
    }
    assert len(found) == 8
    assert home_of(request_of(url="https://x.test:443/a?b"), "", None) in found
