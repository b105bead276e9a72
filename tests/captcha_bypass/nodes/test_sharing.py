"""Nodes that share clearances: one solve for all, and again one when it is refused."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from captcha_bypass.nodes.sharing import FleetClearances, FleetSharing
from captcha_bypass.tasks.base import JsonDict, Record, State
from captcha_bypass.tasks.fleet.queue import FleetQueue
from captcha_bypass.tasks.fleet.seal import Seal
from tests.captcha_bypass.sharing.sharing import SOLVED, TTL, clearance_of, payload
from tests.captcha_bypass.tasks.fleet.conftest import MakeNode
from tests.support.scripted_queue import Script, ended, until

SOON: dict[str, Any] = {"reuse": 600.0}


class Node:
    """A queue that shares, on one node."""

    def __init__(
        self, fleet_queue: FleetQueue, queue: FleetSharing, clearances: FleetClearances
    ) -> None:
        self.fleet_queue = fleet_queue
        self.queue = queue
        self.clearances = clearances


class Fleet:
    """Two nodes, which run the tasks of one script, two at a time each."""

    def __init__(self, nodes: list[Node], events: list[str], script: Script) -> None:
        self.nodes = nodes
        self.events = events
        self.script = script
        self._ids = map(str, itertools.count(1))

    async def submit(self, node: int, owner: str = "", **fields: Any) -> str:  # noqa: ANN401
        task_id = next(self._ids)
        await self.nodes[node].queue.submit(
            task_id, payload(owner=owner, **fields), 10.0, owner=owner
        )
        return task_id

    async def solved(self, node: int, **fields: Any) -> Record:  # noqa: ANN401
        """Have a task solved by a browser."""
        task_id = await self.submit(node, **fields)
        await until(lambda: task_id in self.script.running)
        self.script.end(task_id, {"data": SOLVED})
        return await ended(self.nodes[node].queue, task_id)


@pytest.fixture
async def fleet(make_node: MakeNode) -> Fleet:
    events: list[str] = []
    script, nodes = Script(), []
    for name in ("one", "two"):
        queue = await make_node(name)
        clearances = FleetClearances(queue._store, TTL, events.append)
        sharing = FleetSharing(queue, queue._store, clearances, events.append)
        await sharing.start(script, 2)
        nodes.append(Node(queue, sharing, clearances))
    return Fleet(nodes, events, script)


async def test_task_is_answered_from_what_another_node_got(fleet: Fleet) -> None:
    first = await fleet.solved(0, **SOON)
    task_id = await fleet.submit(1, **SOON)
    record = await ended(fleet.nodes[1].queue, task_id)
    assert record.data is not None
    assert record.data["cookies"] == SOLVED["cookies"]
    assert clearance_of(record)["id"] == clearance_of(first)["id"]
    assert clearance_of(record)["reused"] is True
    assert len(fleet.script.started) == 1
    assert fleet.events == ["solved", "kept", "hit"]


async def test_tasks_that_come_together_to_all_nodes_are_one_solve(fleet: Fleet) -> None:
    ids = [await fleet.submit(number % 2, **SOON) for number in range(10)]
    await until(lambda: fleet.script.running == {ids[0]})
    fleet.script.end(ids[0], {"data": SOLVED})
    records = [await ended(fleet.nodes[0].queue, task_id) for task_id in ids]
    assert len({clearance_of(record)["id"] for record in records}) == 1
    assert [clearance_of(record)["reused"] for record in records] == [False, *[True] * 9]
    assert fleet.script.started == [ids[0]]
    assert fleet.events.count("joined") == 9


async def test_failed_solve_fails_all_who_wait_once_and_the_next_tries_anew(fleet: Fleet) -> None:
    ids = [await fleet.submit(number % 2, **SOON) for number in range(5)]
    await until(lambda: fleet.script.running == {ids[0]})
    error: JsonDict = {"code": "dns_error", "message": "no such host"}
    fleet.script.end(ids[0], {"error": error})
    for task_id in ids:
        assert (await ended(fleet.nodes[1].queue, task_id)).error == error
    assert fleet.script.started == [ids[0]]
    assert (await fleet.solved(1, **SOON)).state is State.COMPLETED


async def test_cancel_of_the_one_that_runs_lets_the_next_begin(fleet: Fleet) -> None:
    first, second = [await fleet.submit(number, **SOON) for number in range(2)]
    await until(lambda: fleet.script.running == {first})
    assert await fleet.nodes[1].queue.remove(first) is True
    await until(lambda: fleet.script.running == {second})


async def test_clearance_of_another_key_is_never_given(fleet: Fleet) -> None:
    await fleet.solved(0, owner="key 0", **SOON)
    await fleet.solved(1, owner="key 1", **SOON)
    assert fleet.events.count("hit") == 0


async def test_clearance_that_is_older_than_asked_for_is_not_given(fleet: Fleet) -> None:
    await fleet.solved(0, **SOON)
    await asyncio.sleep(0.02)
    await fleet.solved(1, reuse=0.01)
    assert len(fleet.script.started) == 2


async def test_refused_clearance_ends_once_for_all_and_costs_one_solve(fleet: Fleet) -> None:
    told = clearance_of(await fleet.solved(0, **SOON))
    answers = [await node.clearances.refuse("", told["id"]) for node in fleet.nodes]
    assert answers == [True, False]
    ids = [await fleet.submit(number % 2, **SOON) for number in range(6)]
    await until(lambda: fleet.script.running == {ids[0]})
    fleet.script.end(ids[0], {"data": SOLVED})
    for task_id in ids:
        await ended(fleet.nodes[0].queue, task_id)
    assert len(fleet.script.started) == 2
    # Somebody is late to say it of the first one.
    assert await fleet.nodes[1].clearances.refuse("", told["id"]) is False
    assert (await ended(fleet.nodes[1].queue, await fleet.submit(1, **SOON))).data is not None
    assert len(fleet.script.started) == 2


async def test_clearance_ends_for_its_owner_alone(fleet: Fleet) -> None:
    told = clearance_of(await fleet.solved(0, owner="key 0", **SOON))
    assert await fleet.nodes[0].clearances.refuse("key 1", told["id"]) is False
    assert await fleet.nodes[0].clearances.refuse("key 0", told["id"]) is True


async def test_what_was_kept_with_another_secret_costs_one_solve_more(fleet: Fleet) -> None:
    await fleet.solved(0, **SOON)
    for node in fleet.nodes:
        node.fleet_queue._store._seal = Seal(("a new secret",))
    assert (await fleet.solved(1, **SOON)).state is State.COMPLETED
    assert (await ended(fleet.nodes[0].queue, await fleet.submit(0, **SOON))).data is not None
    assert fleet.script.started == ["1", "2"]


async def test_end_of_a_solve_that_cannot_be_read_is_no_end_for_others(fleet: Fleet) -> None:
    store = fleet.nodes[0].fleet_queue._store
    task_id = await fleet.submit(0, **SOON)
    await until(lambda: fleet.script.running == {task_id})
    await store.end_flight("a wish", {"error": {"code": "dns_error"}}, 60.0)
    assert await store.flight("a wish", task_id) is not None
    store._seal = Seal(("a new secret",))
    assert await store.flight("a wish", task_id) is None
