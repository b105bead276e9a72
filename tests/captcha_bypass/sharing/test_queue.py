"""Tasks that are answered from a clearance, or end with a solve that another one has begun."""

from __future__ import annotations

import asyncio

import pytest

from captcha_bypass.errors import QueueFull, ShuttingDown
from captcha_bypass.tasks.base import JsonDict, Record, State, Stats
from tests.captcha_bypass.sharing.sharing import SOLVED, Stage, clearance_of, payload
from tests.support.scripted_queue import FOR_EVER, ended, until

FAILED: JsonDict = {"error": {"code": "dns_error", "message": "no such host"}}
LATE: JsonDict = {"data": SOLVED | {"solved": None, "timeout_reached": True}}


async def together(stage: Stage, *ids: str) -> list[Record]:
    return await asyncio.gather(*(ended(stage.queue, task_id) for task_id in ids))


# Answered from a clearance


async def test_task_is_answered_from_what_another_one_got(stage: Stage) -> None:
    first = await stage.solved()
    record = await ended(stage.queue, await stage.submit("http://site.test/other", reuse=60.0))
    assert record.state is State.COMPLETED
    assert record.data is not None
    assert first.data is not None
    assert clearance_of(record) | {"age": 0} == {
        "id": clearance_of(first)["id"],
        "age": 0,
        "reused": True,
    }
    assert record.data["cookies"] == first.data["cookies"]
    assert record.data["user_agent"] == first.data["user_agent"]
    assert (record.data["html"], record.data["screenshot"]) == ("", None)
    assert len(stage.script.started) == 1
    assert stage.events == ["kept", "hit"]


async def test_task_that_does_not_ask_for_it_gets_a_page_of_its_own(stage: Stage) -> None:
    first = await stage.solved()
    second = await stage.solved()
    assert clearance_of(first)["id"] != clearance_of(second)["id"]
    assert second.data is not None
    assert second.data["html"] == SOLVED["html"]
    # The newest is what others get.
    third = await ended(stage.queue, await stage.submit(reuse=60.0))
    assert clearance_of(third)["id"] == clearance_of(second)["id"]


async def test_clearance_of_another_key_is_never_given(stage: Stage) -> None:
    await stage.solved(owner="key 0", reuse=60.0)
    other = await stage.running(owner="key 1", reuse=60.0)
    assert stage.script.running == {other}
    mine = await ended(stage.queue, await stage.submit(owner="key 0", reuse=60.0))
    assert mine.owner == "key 0"


async def test_clearance_that_is_older_than_asked_for_is_not_given(stage: Stage) -> None:
    await stage.solved()
    await asyncio.sleep(0.01)
    anew = await stage.running(reuse=0.0)
    assert stage.script.running == {anew}


async def test_hit_needs_no_worker_and_no_place_in_the_queue(stage: Stage) -> None:
    await stage.solved()
    for n in range(104):  # four run, and the queue is full
        await stage.submit(f"http://other{n}.test/")
    assert (await stage.queue.stats()).queued == 100
    assert clearance_of(await ended(stage.queue, await stage.submit(reuse=60.0)))["reused"]


@pytest.mark.parametrize("fields", [{"session": "mine"}, {"headers": {"Authorization": "x"}}])
async def test_task_whose_result_is_its_own_takes_and_gives_nothing(
    stage: Stage, fields: JsonDict
) -> None:
    await stage.solved()
    own = await stage.solved(reuse=60.0, **fields)
    assert own.data is not None
    assert own.data["clearance"] is None
    assert own.data["html"] == SOLVED["html"]
    assert len(stage.script.started) == 2
    assert len(stage.clearances) == 1


# Single flight


async def test_tasks_that_come_together_are_one_task(stage: Stage) -> None:
    first = await stage.running(reuse=60.0)
    others = [await stage.submit(f"http://site.test/{n}", reuse=60.0) for n in range(9)]
    for task_id in others:
        assert await stage.queue.get(task_id) == Record(task_id, State.RUNNING)
    assert (await stage.queue.stats()).running == 1
    stage.script.end(first, {"data": SOLVED})
    own, *records = await together(stage, first, *others)
    assert stage.script.started == [first]
    assert [record.task_id for record in records] == others
    ids = {clearance_of(record)["id"] for record in (own, *records)}
    assert len(ids) == 1
    assert [clearance_of(record)["reused"] for record in (own, *records)] == [False] + 9 * [True]
    assert own.data is not None
    assert own.data["html"] == SOLVED["html"]
    assert {record.data["html"] for record in records if record.data} == {""}
    assert stage.events == ["solved", *9 * ["joined"], "kept"]


async def test_pending_solve_is_joined_as_well_and_each_is_told_so() -> None:
    stage = Stage()
    first, second = await stage.submit(reuse=9.0), await stage.submit(reuse=9.0)
    assert await stage.queue.get(second) == Record(second, State.PENDING)
    assert await stage.queue.stats() == Stats(queued=1, running=0, slots=0)
    await stage.queue.start(stage.script, 1)
    await until(lambda: stage.script.started == [first])
    await stage.queue.stop(0)


async def test_person_that_one_waits_for_is_needed_by_all_who_wait_for_it(stage: Stage) -> None:
    first = await stage.running(reuse=60.0, on_challenge="wait")
    second = await stage.submit(reuse=60.0, on_challenge="wait")
    other = await stage.running(reuse=60.0)
    await stage.queue.leave_slot(first, 60.0, "http://link.test/")
    record = await stage.queue.get(second)
    assert record == Record(second, State.WAITING_FOR_HUMAN, link="http://link.test/")
    assert await stage.queue.get(other) == Record(other, State.RUNNING)


async def test_plain_task_neither_joins_nor_is_joined(stage: Stage) -> None:
    plain = await stage.running()
    sharing = await stage.running(reuse=60.0)
    other = await stage.running()
    assert stage.script.running == {plain, sharing, other}


@pytest.mark.parametrize("outcome", [FAILED, LATE])
async def test_failed_solve_fails_all_who_wait_once_and_the_next_tries_anew(
    stage: Stage, outcome: JsonDict
) -> None:
    first = await stage.running(reuse=60.0)
    second = await stage.submit(reuse=60.0)
    stage.script.end(first, outcome)
    for record in await together(stage, first, second):
        assert record.error == outcome.get("error")
        assert (record.data is None) == ("data" not in outcome)
        assert record.data is None or record.data["timeout_reached"]
    assert len(stage.clearances) == 0
    third = await stage.running(reuse=60.0)
    assert stage.script.started == [first, third]


async def test_file_behind_a_challenge_clears_the_site_for_all(stage: Stage) -> None:
    first = await stage.running(reuse=60.0)
    second = await stage.submit(reuse=60.0)
    error = {"code": "not_a_page", "message": "a download"}
    stage.script.end(first, {"error": error, "data": SOLVED})
    joined = (await together(stage, first, second))[1]
    assert joined.error == error
    assert clearance_of(joined)["reused"]
    assert (await ended(stage.queue, await stage.submit(reuse=60.0))).error is None


async def test_page_that_was_open_all_the_time_is_told_to_all_and_not_kept(stage: Stage) -> None:
    first = await stage.running(reuse=60.0)
    second = await stage.submit(reuse=60.0)
    stage.script.end(first, {"data": SOLVED | {"solved": None, "cookies": []}})
    for record in await together(stage, first, second):
        assert record.data is not None
        assert record.data["clearance"] is None
    assert await stage.running(reuse=60.0)


# Cancelling


@pytest.mark.parametrize("leaves", ["first", "second"])
async def test_cancel_of_one_does_not_end_the_others(stage: Stage, leaves: str) -> None:
    ids = {"first": await stage.running(reuse=60.0)}
    ids |= {name: await stage.submit(reuse=60.0) for name in ("second", "third")}
    waits = asyncio.create_task(stage.queue.wait(ids[leaves], FOR_EVER))
    await asyncio.sleep(0)
    assert await stage.queue.remove(ids[leaves])
    assert await asyncio.wait_for(waits, 5) is None
    assert await stage.queue.get(ids[leaves]) is None
    assert await stage.queue.wait(ids[leaves], FOR_EVER) is None
    assert not await stage.queue.remove(ids[leaves])
    assert stage.script.cancelled == []
    stage.script.end(ids["first"], {"data": SOLVED})
    left = [task_id for name, task_id in ids.items() if name != leaves]
    assert all(record.data for record in await together(stage, *left))
    await until(lambda: ids[leaves] not in stage.memory._entries)
    assert await stage.queue.get(ids[leaves]) is None


async def test_last_cancel_ends_the_task_and_whoever_comes_then_begins_anew(stage: Stage) -> None:
    first = await stage.running(reuse=60.0)
    second = await stage.submit(reuse=60.0)
    assert await stage.queue.remove(first)
    assert await stage.queue.remove(second)
    assert stage.script.cancelled == [first]
    third = await stage.running(reuse=60.0)
    assert stage.script.running == {third}


async def test_result_of_one_can_be_deleted_and_the_others_keep_theirs(stage: Stage) -> None:
    first = await stage.running(reuse=60.0)
    second = await stage.submit(reuse=60.0)
    stage.script.end(first, {"data": SOLVED})
    await together(stage, first, second)
    assert await stage.queue.remove(first)
    assert (await ended(stage.queue, second)).state is State.COMPLETED


# Refusing


async def test_refused_clearance_ends_once_and_costs_one_solve(stage: Stage) -> None:
    old = clearance_of(await stage.solved(reuse=60.0))["id"]
    told = [await stage.clearances.refuse("", old) for _ in range(10)]
    assert told == [True, *9 * [False]]
    first = await stage.running(reuse=60.0)
    others = [await stage.submit(reuse=60.0) for _ in range(9)]
    assert not await stage.clearances.refuse("", old)  # late, while the next one is solved
    stage.script.end(first, {"data": SOLVED})
    new = {clearance_of(one)["id"] for one in await together(stage, first, *others)}
    assert not await stage.clearances.refuse("", old)  # later still
    again = await ended(stage.queue, await stage.submit(reuse=60.0))
    assert {clearance_of(again)["id"]} == new
    assert len(stage.script.started) == 2


async def test_what_was_read_before_stays_readable_when_its_clearance_is_refused(
    stage: Stage,
) -> None:
    await stage.solved()
    hit = await ended(stage.queue, await stage.submit(reuse=60.0))
    await stage.clearances.refuse("", clearance_of(hit)["id"])
    assert await stage.queue.get(hit.task_id) == hit


# Bounds and ends


async def test_one_more_than_may_wait_for_solves_of_others_is_refused() -> None:
    stage = Stage(most_joined=2)
    await stage.queue.start(stage.script, 1)
    await stage.running(reuse=60.0)
    waiting = [await stage.submit(reuse=60.0) for _ in range(2)]
    with pytest.raises(QueueFull):
        await stage.submit(reuse=60.0)
    await stage.queue.remove(waiting[0])
    await stage.submit(reuse=60.0)
    await stage.queue.stop(0)


async def test_service_that_stops_tells_all_who_wait(stage: Stage) -> None:
    await stage.solved("http://other.test/")
    ids = [await stage.running(reuse=60.0), await stage.submit(reuse=60.0)]
    await stage.queue.stop(0)
    for record in await together(stage, *ids):
        assert record.error is not None
        assert record.error["code"] == "shutting_down"
    with pytest.raises(ShuttingDown):
        await stage.submit("http://other.test/", reuse=60.0)


async def test_nothing_is_remembered_of_tasks_that_have_ended(stage: Stage) -> None:
    for outcome in ({"data": SOLVED}, FAILED):
        first = await stage.running(f"http://{len(outcome)}{id(outcome)}.test/", reuse=60.0)
        stage.script.end(first, outcome)
        await ended(stage.queue, first)
    gone = await stage.running("http://gone.test/", reuse=60.0)
    await stage.queue.remove(gone)
    assert stage.queue._flights == stage.queue._seated == {}
    assert stage.queue._left == set()


async def test_log_tells_who_was_answered_how_and_no_secret(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    first = await stage.running(reuse=60.0)
    second = await stage.submit(reuse=60.0)
    stage.script.end(first, {"data": SOLVED})
    await together(stage, first, second)
    third = await stage.submit(reuse=60.0)
    lines = {
        record.__dict__["task_id"]: record
        for record in caplog.records
        if record.name == "captcha_bypass.sharing.queue"
    }
    assert lines[second].__dict__["joined"] == first
    assert lines[third].__dict__["age"] >= 0
    assert {line.__dict__["host"] for line in lines.values()} == {"site.test"}
    assert not any(one["value"] and one["value"] in caplog.text for one in SOLVED["cookies"])


async def test_payload_of_a_task_that_shares_says_so() -> None:
    """What the queue decides by is in the JSON that it keeps, so that any node could."""
    assert payload(reuse=60.0)["reuse"] == 60.0
    assert payload(reuse=0.0)["reuse"] == 0.0
    assert "reuse" not in payload()
