"""The last tasks, as the operator's page is told of them, by a real queue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from captcha_bypass.challenges import Challenge
from captcha_bypass.history import Evidence, EvidenceStore, History
from captcha_bypass.history.ring import MOST_GONE, MOST_PENDING, MOST_TASKS
from captcha_bypass.tasks.memory import MemoryQueue
from tests.support.scripted_queue import Script, ended, until

ASKED = {"url": "https://site.test/a", "success_text": "Welcome", "timeout": 5}
LATE = {"data": {"timeout_reached": True, "unmet": ["success_text"], "challenge": "cloudflare"}}
FAILED = {"error": {"code": "dns_error", "message": "No such host."}}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(clock: Clock) -> History:
    return History(EvidenceStore(most=5, max_bytes=10_000, seconds=600), clock)


def queue_of(history: History, **options: Any) -> MemoryQueue:  # noqa: ANN401
    defaults = {"max_pending": 10_000, "result_ttl": 600.0, "max_results_bytes": 2**20}
    return MemoryQueue(**{**defaults, **options}, observer=history)


def run(history: History, task_id: str, outcome: dict[str, Any], owner: str = "") -> None:
    history.submitted(task_id, ASKED, owner)
    history.started(task_id, ASKED, owner, 0.0)
    history.ended(task_id, outcome)


async def test_a_task_is_told_of_from_its_coming_to_its_end(history: History, clock: Clock) -> None:
    queue, script = queue_of(history), Script()
    await queue.submit("a", ASKED, 5, owner="key 0")
    (pending,) = history.entries("key 0")
    clock.now += 2
    await queue.start(script, 1)
    await until(lambda: "a" in script.running)
    (running,) = history.entries("key 0")
    clock.now += 3.5
    script.end("a", LATE)
    await ended(queue, "a")
    (over,) = history.entries("key 0")

    assert pending == {
        "id": "a",
        "host": "site.test",
        "state": "pending",
        "outcome": None,
        "vendor": None,
        "kind": None,
        "why": None,
        "came_at": 1000.0,
        "started_at": None,
        "ended_at": None,
        "seconds": None,
        "evidence": False,
        "kept": True,
    }
    assert running == pending | {"state": "running", "started_at": 1002.0}
    assert over == running | {
        "state": "completed",
        "outcome": "timeout",
        "vendor": "cloudflare",
        "why": "success_text",
        "ended_at": 1005.5,
        "seconds": 3.5,
    }
    assert history.minutes("key 0")[-1]["outcomes"] == {"timeout": 1}
    assert history.minutes("key 0")[-1]["p50"] == 3.5


async def test_a_task_that_is_cancelled_is_told_of_as_that(history: History) -> None:
    queue, script = queue_of(history), Script()
    await queue.start(script, 1)
    for task_id in "ab":
        await queue.submit(task_id, ASKED, 5)
    await until(lambda: "a" in script.running)
    history.keep("a", Evidence("", "u", b"<p>", None, at=1.0))
    await queue.remove("b")
    await queue.remove("a")
    assert history.evidence.bytes == 0
    told = {entry["id"]: entry for entry in history.entries("")}
    assert [told[i]["outcome"] for i in "ab"] == ["cancelled"] * 2
    assert [told[i]["kept"] for i in "ab"] == [False] * 2
    assert history.minutes("")[-1]["outcomes"] == {"cancelled": 2}


async def test_a_task_whose_result_is_gone_stays_in_the_list(history: History) -> None:
    queue, script = queue_of(history), Script()
    await queue.start(script, 1)
    await queue.submit("a", ASKED, 5)
    await until(lambda: "a" in script.running)
    script.end("a", FAILED)
    await ended(queue, "a")
    before = history.version
    await queue.remove("a")
    (entry,) = history.entries("", before)
    assert (entry["outcome"], entry["kept"]) == ("dns_error", False)
    assert history.minutes("")[-1]["outcomes"] == {"dns_error": 1}


async def test_tasks_that_a_shutdown_ended_are_told_of(history: History) -> None:
    queue, script = queue_of(history), Script()
    await queue.start(script, 1)
    for task_id in "ab":
        await queue.submit(task_id, ASKED, 5)
    await until(lambda: "a" in script.running)
    await queue.stop(0)
    assert [entry["outcome"] for entry in history.entries("")] == ["shutting_down"] * 2


def test_only_what_has_changed_since_a_version_is_told_the_last_change_last(
    history: History,
) -> None:
    for task_id in "abc":
        history.submitted(task_id, ASKED, "")
    version = history.version
    history.started("b", ASKED, "", 0.0)
    history.started("a", ASKED, "", 0.0)
    assert [entry["id"] for entry in history.entries("", version)] == ["b", "a"]
    assert [entry["id"] for entry in history.entries("")] == ["c", "b", "a"]
    assert history.entries("", history.version) == []


def test_each_owner_is_told_of_its_own_tasks_alone(history: History) -> None:
    run(history, "a", {"data": {}}, "key 0")
    run(history, "b", {"data": {}}, "key 1")
    assert [entry["id"] for entry in history.entries("key 1")] == ["b"]
    assert history.details("a", "key 1") is None
    assert history.details("a", "key 0") is not None
    assert history.minutes("key 2")[-1]["outcomes"] == {}


def test_the_first_to_end_is_forgotten_first_and_a_task_that_runs_never(history: History) -> None:
    history.submitted("runs", ASKED, "")
    history.started("runs", ASKED, "", 0.0)
    for number in range(MOST_TASKS):
        run(history, f"t{number}", {"data": {}}, "key 1" if number else "")
    entries = history.entries("") + history.entries("key 1")
    assert len(entries) == MOST_TASKS
    assert history.entries("")[0]["id"] == "runs"
    assert history.details("t0", "") is None
    assert history.removed_since("", 0) == ["t0"]
    assert history.removed_since("", history.version) == []
    assert history.removed_since("key 1", 0) == []


def test_who_asks_too_late_what_is_forgotten_is_told_to_begin_anew(history: History) -> None:
    for number in range(MOST_TASKS + MOST_GONE):
        run(history, f"t{number}", {"data": {}})
    version = history.version
    assert len(history.removed_since("", 0) or ()) == MOST_GONE
    run(history, "one more", {"data": {}})
    assert history.removed_since("", 0) is None
    assert history.removed_since("", version) == [f"t{MOST_GONE}"]


def test_a_long_queue_leaves_room_for_tasks_that_have_ended(history: History, clock: Clock) -> None:
    run(history, "ended", {"data": {}})
    for number in range(2 * MOST_TASKS):
        history.submitted(f"t{number}", ASKED, "")
    entries = history.entries("")
    assert len(entries) == 1 + MOST_PENDING
    assert entries[0]["id"] == "ended"
    last = f"t{2 * MOST_TASKS - 1}"
    history.started(last, ASKED, "", 30.0)
    assert history.entries("")[-1]["id"] == last
    assert history.entries("")[-1]["came_at"] == clock.now - 30.0
    history.started("t0", ASKED, "", 0.0)
    history.submitted("new", ASKED, "")  # for which t0 has made room
    history.submitted("too many", ASKED, "")
    assert [entry["id"] for entry in history.entries("")][-1] == "new"
    for number in range(MOST_PENDING):
        history.removed(f"t{number}")
    history.submitted("later", ASKED, "")
    assert history.entries("")[-1]["id"] == "later"


def test_what_a_page_shows_is_told_while_it_runs(history: History) -> None:
    history.submitted("a", ASKED, "")
    history.started("a", ASKED, "", 0.0)
    version = history.version
    timeline = history.timeline("a")
    timeline.add(403, "https://site.test/a")
    timeline.judge(Challenge("cloudflare", "human"))
    (entry,) = history.entries("", version)
    assert (entry["vendor"], entry["kind"]) == ("cloudflare", "human")
    details = history.details("a", "")
    assert details is not None
    assert details["documents"] == timeline.documents
    assert details["documents"][0]["status"] == 403


def test_a_task_that_is_not_remembered_has_a_timeline_that_changes_nothing(
    history: History,
) -> None:
    history.timeline("unknown").add(200, "https://site.test/")
    assert history.version == 0


async def test_the_details_of_a_task_are_json_without_secrets(history: History) -> None:
    secret = ASKED | {"cookies": [{"name": "sid", "value": "s3cret"}]}
    history.submitted("a", secret, "")
    history.started("a", secret, "", 0.0)
    history.keep("a", Evidence("", "https://site.test/a", b"<p>s3cret", b"jpeg", at=1.0))
    history.ended("a", LATE | {"data": LATE["data"] | {"html": "s3cret", "status_code": 403}})
    details = history.details("a", "")
    assert details is not None
    assert "s3cret" not in json.dumps(details)
    assert details["asked"]["cookies"] == ["sid"]
    assert details["evidence"] == {"html_bytes": 9, "jpeg_bytes": 4}
    assert (details["unmet"], details["status_code"]) == (["success_text"], 403)
    assert (details["outcome"], details["vendor"]) == ("timeout", "cloudflare")


async def test_that_evidence_comes_and_goes_is_a_change_of_its_task(history: History) -> None:
    run(history, "a", LATE)
    for change, there in (
        (lambda: history.keep("a", Evidence("", "u", None, b"j", at=1.0)), True),
        (lambda: history.evidence.drop("a"), False),
    ):
        version = history.version
        change()
        (entry,) = history.entries("", version)
        assert entry["evidence"] is there
