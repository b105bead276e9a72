"""Sessions that are begun, listed and ended by any node, wherever they are."""

from __future__ import annotations

import pytest

from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.errors import TooManySessions
from captcha_bypass.nodes.sessions import NodeSessions
from captcha_bypass.tasks.fleet.queue import FleetQueue
from captcha_bypass.wire.task import SessionKey
from tests.captcha_bypass.tasks.fleet.conftest import MakeNode, all_hear
from tests.support.scripted_queue import at_once

S, T = SessionKey("key 0", "s"), SessionKey("key 0", "t")


class Node:
    """A node with sessions that have no pages yet."""

    def __init__(self, queue: FleetQueue) -> None:
        self.queue = queue
        self.here = Sessions(most=2, ttl=60.0)
        self.all = NodeSessions(self.here, queue.homes)
        queue.homes.on_end = self._end_home

    async def _end_home(self, home: str) -> None:
        owner, _, name = home.removeprefix("session:").partition(":")
        await self.here.destroy(SessionKey(owner, name))


@pytest.fixture
async def nodes(make_node: MakeNode) -> list[Node]:
    found = [Node(await make_node(name)) for name in ("one", "two")]
    for node in found:
        await node.queue.start(at_once, 1)
        await node.queue._store.beat(node.queue.node, "x", 1, "", "", {})
    await all_hear(*(node.queue for node in found))
    return found


async def test_session_of_one_node_is_listed_by_all_and_is_not_begun_twice(
    nodes: list[Node],
) -> None:
    one, two = nodes
    assert await one.all.create(S, None) is True
    assert await two.all.create(S, None) is False
    assert await one.all.create(S, None) is False
    assert await two.all.create(T, None) is True
    assert (
        sorted(await one.all.names("key 0")) == sorted(await two.all.names("key 0")) == ["s", "t"]
    )
    assert await two.all.names("key 1") == []
    assert two.here.names("key 0") == ["t"]


async def test_session_is_ended_by_a_node_that_does_not_have_it_once(nodes: list[Node]) -> None:
    one, two = nodes
    await one.all.create(S, None)
    assert await two.all.destroy(S) is True
    assert one.here.names("key 0") == []
    assert [await node.all.destroy(S) for node in nodes] == [False, False]
    assert await two.all.names("key 0") == []


async def test_session_that_its_own_node_ends_is_gone_for_all_and_can_be_anothers(
    nodes: list[Node],
) -> None:
    one, two = nodes
    await one.all.create(S, None)
    assert await one.all.destroy(S) is True
    assert await two.all.names("key 0") == []
    assert await two.all.create(S, None) is True


async def test_session_of_a_node_that_is_gone_can_be_begun_anew_without_a_word(
    nodes: list[Node],
) -> None:
    one, two = nodes
    await one.all.create(S, None)
    await one.queue.close()
    assert await two.all.names("key 0") == []
    assert await two.all.create(S, None) is True


async def test_session_that_died_with_its_node_can_be_ended_once(nodes: list[Node]) -> None:
    one, two = nodes
    await one.all.create(S, None)
    await one.queue.close()
    assert [await two.all.destroy(S) for _ in range(2)] == [True, False]


async def test_bound_of_sessions_is_each_nodes_own(nodes: list[Node]) -> None:
    one, two = nodes
    for name in "ab":
        await one.all.create(SessionKey("", name), None)
    with pytest.raises(TooManySessions):
        await one.all.create(SessionKey("", "c"), None)
    assert await two.all.create(SessionKey("", "d"), None) is True


async def test_one_service_alone_has_its_own() -> None:
    here = Sessions(most=2, ttl=60.0)
    alone = NodeSessions(here)
    assert [await alone.create(S, None) for _ in range(2)] == [True, False]
    assert await alone.names("key 0") == ["s"]
    assert [await alone.destroy(S) for _ in range(2)] == [True, False]
