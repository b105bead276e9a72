"""Queue, worker and pool under any order of submits, cancels, faults and time: no slot is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from captcha_bypass.browsers.fleet import Fleet
from captcha_bypass.browsers.janitor import IDLE_SECONDS, Janitor
from captcha_bypass.browsers.pool import BrowserPool
from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.solving.worker import Worker
from captcha_bypass.tasks.memory import MemoryQueue
from tests.support.fake_browsers import LIMITS, FakeEgress, FakeEngine, World
from tests.support.virtual_time import VirtualLoop

SLOTS = 3
TIMEOUT = 10.0
#: Any task must have ended so long after it was started: its timeout, the grace until the kill, and
#: what the kill itself may take.
WITHIN = TIMEOUT + 5 + 2
KINDS = ["ok", "hang", "page-crash", "kill-browser", "error"]


class Machine(RuleBasedStateMachine):
    """One service with browsers that fail on command."""

    tasks = Bundle("tasks")

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.world = World()
        self.submitted: list[str] = []
        self.removed: set[str] = set()
        self.patches: list[Any] = [
            patch("captcha_bypass.browsers.process.kill_marked", self.world.kill_marked),
            patch("captcha_bypass.solving.worker.solve", self.world.solve),
            patch("captcha_bypass.browsers.janitor.Janitor._retire_large", nothing),
        ]
        for each in self.patches:
            each.start()
        self.loop.run(self._start())

    async def _start(self) -> None:
        world: Any = self.world
        engine: Any = FakeEngine()
        egress: Any = FakeEgress()
        self.guards = egress.open
        limits = replace(LIMITS, slots=SLOTS, tasks_per_browser=5)
        sessions = Sessions(most=1, ttl=60.0)
        pool = BrowserPool(engine, egress, headless="true", limits=limits, sessions=sessions)
        self.fleet = pool._fleet = Fleet(engine, world, egress, limits=limits)
        await self.fleet.__aenter__()
        self.fleet.background.run(Janitor(self.fleet, limits.max_browser_bytes).keep())
        self.queue = MemoryQueue(max_pending=1000, result_ttl=10_000, max_results_bytes=2**28)
        await self.queue.start(Worker(pool, 10_000), SLOTS)

    @rule(target=tasks, kind=st.sampled_from(KINDS))
    def submit(self, kind: str) -> str:
        task_id = str(uuid4())
        payload = {"url": f"http://x/{kind}?{task_id}", "no_challenge": True, "timeout": TIMEOUT}
        self.loop.run(self.queue.submit(task_id, payload, TIMEOUT))
        self.submitted.append(task_id)
        return task_id

    @rule(task=tasks)
    def cancel(self, task: str) -> None:
        began = self.loop.time()
        self.loop.run(self.queue.remove(task))
        assert self.loop.time() - began <= 2
        self.removed.add(task)

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 4.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.loop.advance(seconds)

    # What is drawn depends on nothing that the loop does: sets of objects differ in order from run to run.
    @rule(which=st.integers(0, 3 * SLOTS - 1))
    def browser_dies(self, which: int) -> None:
        if living := self.world.living():
            self.loop.run(inside(living[which % len(living)].die))

    @rule()
    def driver_dies(self) -> None:
        self.loop.run(inside(self.world.kill))

    @rule(frozen=st.booleans())
    def driver_freezes_or_thaws(self, frozen: bool) -> None:
        self.world.frozen = frozen

    @rule(name=st.sampled_from(["launch_fails", "open_hangs", "close_hangs"]), on=st.booleans())
    def fault(self, name: str, on: bool) -> None:
        setattr(self.world, name, on)

    @invariant()
    def slots_are_kept(self) -> None:
        stats = self.loop.run(self.queue.stats())
        assert stats.running <= SLOTS
        assert stats.running == SLOTS or not stats.queued

    @invariant()
    def removed_tasks_stay_removed(self) -> None:
        assert not [t for t in self.removed if self.loop.run(self.queue.get(t))]

    @invariant()
    def browsers_are_few(self) -> None:
        # Each slot may have one for itself; besides there are the one ahead and those closing.
        assert len(self.world.living()) <= 3 * SLOTS

    def teardown(self) -> None:
        try:
            self.world.frozen = self.world.launch_fails = False
            self.world.open_hangs = self.world.close_hangs = False
            self.loop.advance(WITHIN * (len(self.submitted) + 1) + IDLE_SECONDS)
            self.all_has_ended()
            self.loop.run(self.fleet.__aexit__(None, None, None))
        finally:
            for each in self.patches:
                each.stop()
            self.loop.shutdown()

    def all_has_ended(self) -> None:
        kept = [task for task in self.submitted if task not in self.removed]
        records = [self.loop.run(self.queue.get(task)) for task in kept]
        assert all(record and record.finished for record in records)
        completed = {record.task_id for record in records if record and record.data}
        assert completed <= {url.partition("?")[2] for url in self.world.opened}, "it had a page"
        assert "idle" not in self.fleet.counts().restarts
        errors = {record.error["code"] for record in records if record and record.error}
        assert errors <= {"browser_crashed", "browser_unavailable", "dns_error"}
        assert self.loop.run(self.queue.stats()).running == 0
        assert len(self.world.living()) == 1, "one warm browser, and no other"
        (browser,) = self.world.living()
        assert len(browser.pages) <= 1, "no page is left but the one made ready"
        assert len(self.guards) <= 1, "nor is its guard"
        first_seen = list(dict.fromkeys(url.partition("?")[2] for url in self.world.opened))
        order = [task for task in self.submitted if task in first_seen]
        assert all(task in self.submitted for task in first_seen)
        self.started_in_order(order)

    def started_in_order(self, order: list[str]) -> None:
        places = {task: place for place, task in enumerate(self.submitted)}
        assert [places[task] for task in order] == sorted(places[task] for task in order)


async def nothing(_: object) -> None:
    return None


async def inside(action: Callable[[], None]) -> None:
    """Do something on the running loop, as the browser's own events are."""
    action()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("CRITICAL"):
        yield


@pytest.mark.timeout(300)
def test_no_order_of_faults_loses_a_slot_a_task_or_a_browser() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=200,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
