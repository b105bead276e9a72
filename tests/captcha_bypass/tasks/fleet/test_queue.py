"""What a queue promises that several nodes share, and what becomes of it when one of them dies."""

from __future__ import annotations

import asyncio

import pytest

from captcha_bypass.errors import QueueFull
from captcha_bypass.tasks.base import Record, State, Stats
from captcha_bypass.tasks.fleet.queue import FleetQueue
from tests.captcha_bypass.tasks.fleet.conftest import MakeNode, all_hear
from tests.captcha_bypass.tasks.implementations import code, known
from tests.support.redis_server import RedisServer
from tests.support.scripted_queue import FOR_EVER, Script, at_once, ended, until

STORE = "captcha_bypass.tasks.fleet.store"
QUEUE = "captcha_bypass.tasks.fleet.queue"
TAKING = "captcha_bypass.tasks.fleet.taking"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet that takes a node for dead soon, though not because the machine is busy for a moment."""
    monkeypatch.setattr(f"{STORE}.LEASE_SECONDS", 1.5)
    monkeypatch.setattr(f"{STORE}.PAUSE_SECONDS", 1.2)
    monkeypatch.setattr(f"{STORE}.PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(f"{QUEUE}.BEAT_SECONDS", 0.3)


def die(node: FleetQueue) -> None:
    """Leave a node without a word, as a process that is killed: it says nothing any more."""
    node._loops.cancel()
    for run in node._runs._runs.values():
        run.is_lost = True
        run.job.cancel()


# Any node answers for any task


async def test_task_is_taken_by_one_node_and_its_result_given_by_any(make_node: MakeNode) -> None:
    api, solver = await make_node("api"), await make_node("solver")
    await api.start(None, 0)
    await solver.start(at_once, 2)
    await api.submit("a", {"n": 1}, 5, owner="key 0")
    record = await ended(api, "a")
    assert record == Record("a", State.COMPLETED, {"task": "a", "payload": {"n": 1}}, owner="key 0")
    assert await solver.get("a") == record
    assert await api.stats() == await solver.stats() == Stats(queued=0, running=0, slots=2)


async def test_each_task_runs_once_however_many_nodes_want_it(make_node: MakeNode) -> None:
    nodes = [await make_node(name) for name in "abc"]
    seen: list[str] = []

    async def note(task_id: str, payload: dict[str, object]) -> dict[str, object]:
        seen.append(task_id)
        return {"data": {}}

    for node in nodes:
        await node.start(note, 2)
    ids = [f"t{n}" for n in range(60)]
    for number, task_id in enumerate(ids):
        await nodes[number % 3].submit(task_id, {}, 5)
    for number, task_id in enumerate(ids):
        await ended(nodes[(number + 1) % 3], task_id)
    assert sorted(seen) == sorted(ids)


async def test_bound_of_a_group_and_order_hold_over_the_fleet(make_node: MakeNode) -> None:
    one, two = await make_node("one"), await make_node("two")
    script = Script()
    await one.start(script, 2)
    await two.start(script, 2)
    for number in range(6):
        await one.submit(f"a{number}", {}, 5, {"host:a": 2})
    await two.submit("b", {}, 5, {"host:b": 2})
    await until(lambda: script.running == {"a0", "a1", "b"})
    for number in range(4):
        script.end(f"a{number}")
        await until(lambda number=number: f"a{number + 2}" in script.running)  # type: ignore[misc]
        assert len([task for task in script.running if task.startswith("a")]) == 2
    started = [task for task in script.started if task != "b"]
    # The first two are taken by two nodes, whose handlers may begin in any order.
    assert [*sorted(started[:2]), *started[2:]] == [f"a{n}" for n in range(6)]


async def test_bound_of_pending_tasks_holds_over_the_fleet(make_node: MakeNode) -> None:
    one, two = await make_node("one"), await make_node("two")
    one._max_pending = two._max_pending = 3
    for node, task_id in ((one, "a"), (two, "b"), (one, "c")):
        await node.submit(task_id, {}, 5)
    with pytest.raises(QueueFull):
        await two.submit("d", {}, 5)


async def test_running_task_is_cancelled_from_another_node(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By its word alone: not because somebody looked.
    for name in (f"{QUEUE}.BEAT_SECONDS", f"{QUEUE}.POLL_SECONDS", f"{TAKING}.POLL_SECONDS"):
        monkeypatch.setattr(name, FOR_EVER)
    api, solver, script = await make_node("api"), await make_node("solver"), Script()
    await api.start(None, 0)
    await solver.start(script, 1)
    await api.submit("a", {}, 5)
    await api.submit("b", {}, 5)
    await until(lambda: script.running == {"a"})
    await all_hear(api, solver)
    waiting = asyncio.create_task(solver.wait("a", FOR_EVER))
    async with asyncio.timeout(10):
        assert await api.remove("a") is True
        assert await waiting is None
    assert script.cancelled == ["a"]
    assert await api.remove("a") is False
    await until(lambda: script.running == {"b"})


# Nodes that go


async def test_node_that_stops_hands_its_tasks_over_in_their_old_places(
    make_node: MakeNode,
) -> None:
    going, staying = await make_node("going"), await make_node("staying")
    leaving, script = Script(), Script()
    await going.start(leaving, 2)
    for task_id in "abc":
        await staying.submit(task_id, {}, 5)
    await until(lambda: leaving.running == {"a", "b"})
    await going.stop(0)
    await staying.start(script, 1)
    for task_id in "abc":
        await until(lambda task_id=task_id: script.running == {task_id})  # type: ignore[misc]
        script.end(task_id)
        await ended(staying, task_id)
    assert script.started == ["a", "b", "c"]


@pytest.mark.usefixtures("hasty")
async def test_tasks_of_a_dead_node_run_again_in_their_old_places(make_node: MakeNode) -> None:
    dying, living = await make_node("dying"), await make_node("living")
    first, script = Script(), Script()
    await dying.start(first, 2)
    for task_id in "abc":
        await living.submit(task_id, {}, 5, {"host:x": 2})
    await until(lambda: first.running == {"a", "b"})
    await living.start(script, 1)
    die(dying)
    for task_id in "abc":
        await until(lambda task_id=task_id: script.running == {task_id})  # type: ignore[misc]
        script.end(task_id)
        await ended(living, task_id)
    assert script.started == ["a", "b", "c"]
    assert [node.name for node in (await living.fleet()).nodes] == ["living"]


@pytest.mark.usefixtures("hasty")
async def test_task_that_two_nodes_died_with_is_not_given_to_a_third(make_node: MakeNode) -> None:
    watching = await make_node("watching")
    await watching.start(None, 0)
    await watching.submit("poison", {}, 5)
    for name in ("first", "second"):
        node, script = await make_node(name), Script()
        await node.start(script, 1)
        await until(lambda script=script: script.running == {"poison"})  # type: ignore[misc]
        die(node)
    assert code(await ended(watching, "poison")) == "browser_crashed"


@pytest.mark.usefixtures("hasty")
async def test_what_a_frozen_node_says_after_it_counted_as_dead_does_not_count(
    make_node: MakeNode,
) -> None:
    frozen, living = await make_node("frozen"), await make_node("living")
    first, script = Script(), Script()
    await frozen.start(first, 1)
    await living.submit("a", {}, 5)
    await until(lambda: first.running == {"a"})
    frozen._loops.cancel()  # its words only; it thaws below
    await living.start(script, 1)
    await until(lambda: script.running == {"a"})
    first.end("a", {"data": {"by": "frozen"}})
    await until(lambda: not frozen._runs)
    assert (await known(living, "a")).state is State.RUNNING
    script.end("a", {"data": {"by": "living"}})
    assert (await ended(living, "a")).data == {"by": "living"}


@pytest.mark.usefixtures("hasty")
async def test_node_that_thaws_stops_what_is_another_nodes_by_now(make_node: MakeNode) -> None:
    frozen, living = await make_node("frozen"), await make_node("living")
    first, script = Script(), Script()
    await frozen.start(first, 1)
    await living.submit("a", {}, 5)
    await until(lambda: first.running == {"a"})
    frozen._loops.cancel()
    await living.start(script, 1)
    await until(lambda: script.running == {"a"})
    frozen._loops.run(frozen._keep_alive())
    await until(lambda: first.cancelled == ["a"])
    assert script.running == {"a"}


@pytest.mark.usefixtures("hasty")
async def test_task_whose_taking_was_never_answered_runs_again(make_node: MakeNode) -> None:
    node, script = await make_node(), Script()
    await node.submit("a", {}, 5)
    await node._store.beat(node.node, "one", 1, "", "", {})
    assert await node._store.take(node.node, "lost on the way") is not None
    await node.start(script, 1)
    await until(lambda: script.running == {"a"})


# Redis that goes


@pytest.mark.usefixtures("hasty")
async def test_while_nobody_reaches_redis_no_node_dies(
    make_node: MakeNode, server: RedisServer
) -> None:
    one, two, script = await make_node("one"), await make_node("two"), Script()
    await one.start(script, 1)
    await two.start(script, 1)
    for task_id in "ab":
        await one.submit(task_id, {}, 30)
    await until(lambda: script.running == {"a", "b"})
    server.freeze()
    await asyncio.sleep(2.5)
    server.thaw()
    for task_id in "ab":
        script.end(task_id)
        assert (await ended(two, task_id)).state is State.COMPLETED
    assert sorted(script.started) == ["a", "b"]
