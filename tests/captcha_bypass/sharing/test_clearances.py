"""The store of clearances, held against a list of all that were ever given to it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from captcha_bypass.sharing import clearances
from captcha_bypass.sharing.clearances import Clearance, Clearances
from captcha_bypass.sharing.terms import ClearanceKey
from captcha_bypass.tasks.base import JsonDict, weigh
from tests.captcha_bypass.sharing.sharing import SOLVED, cookie
from tests.support.virtual_time import VirtualLoop

KEYS = [ClearanceKey(owner, f"http://{n}.test:80", "") for owner in ("a", "b") for n in range(3)]
KEY = KEYS[0]
TTL = 100.0


def data_for(seconds: float | None, size: int = 1) -> JsonDict:
    """Return a result whose clearance ends so many seconds from now; None: it does not say."""
    expires = -1.0 if seconds is None else time.time() + seconds
    return {**SOLVED, "cookies": [cookie("cf_clearance", expires=expires, value="x" * size)]}


@dataclass
class Given:
    key: ClearanceKey
    id: str
    at: float
    ends: float


class StoreMachine(RuleBasedStateMachine):
    """`given` is all that was taken, newest last; `over` the ids of those that were refused."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.store = Clearances(TTL)
        self.given: list[Given] = []
        self.refused: set[str] = set()

    def teardown(self) -> None:
        self.loop.shutdown()

    def current(self, key: ClearanceKey) -> Given | None:
        """Return the newest of a key, if it is still good."""
        mine = [one for one in self.given if one.key == key]
        if not mine or mine[-1].id in self.refused or self.loop.time() >= mine[-1].ends:
            return None
        return mine[-1]

    @rule(key=st.sampled_from(KEYS), seconds=st.none() | st.integers(-10, 300))
    def add(self, key: ClearanceKey, seconds: int | None) -> None:
        found: Clearance | None = self.loop.run(self.store.add(key, data_for(seconds)))
        if seconds is not None and seconds <= 0:
            assert found is None
            return
        assert found is not None
        now = self.loop.time()
        life = TTL if seconds is None else min(TTL, seconds)
        assert found.ends_at == pytest.approx(now + life, abs=1)
        self.given.append(Given(key, found.id, now, found.ends_at))

    @rule(key=st.sampled_from(KEYS), max_age=st.integers(0, 200))
    def find(self, key: ClearanceKey, max_age: int) -> None:
        found: Clearance | None = self.loop.run(self.store.find(key, float(max_age)))
        expected = self.current(key)
        if expected is not None and self.loop.time() - expected.at > max_age:
            expected = None
        assert (found and found.id) == (expected and expected.id)
        assert found is None or found.key == key

    @precondition(lambda self: self.given)
    @rule(data=st.data(), owner=st.sampled_from("ab"))
    def refuse(self, data: st.DataObject, owner: str) -> None:
        """Only the owner's word counts, and only of what is not over or replaced already."""
        one = data.draw(st.sampled_from(self.given))
        current = self.current(one.key)
        ends = owner == one.key.owner and current is not None and current.id == one.id
        assert self.loop.run(self.store.refuse(owner, one.id)) is ends
        if ends:
            self.refused.add(one.id)

    @rule(seconds=st.integers(1, 150))
    def wait(self, seconds: int) -> None:
        self.loop.advance(seconds)

    @invariant()
    def holds_no_more_than_what_is_good(self) -> None:
        good = [key for key in KEYS if self.current(key) is not None]
        assert len(self.store) == len(good)
        weights = [one.weight for one in self.store._by_key.values()]
        assert self.store.held_bytes == sum(weights)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


async def test_past_the_bounds_what_was_used_longest_ago_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clearances, "MAX_CLEARANCES", 2)
    store = Clearances(TTL)
    for key in KEYS[:2]:
        await store.add(key, data_for(None))
    assert await store.find(KEYS[0], TTL)
    await store.add(KEYS[2], data_for(None))
    assert [key for key in KEYS[:3] if await store.find(key, TTL)] == [KEYS[0], KEYS[2]]


async def test_all_together_hold_no_more_bytes_than_they_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = weigh(data_for(None, 1000))
    monkeypatch.setattr(clearances, "MAX_BYTES", 2 * one)
    store = Clearances(TTL)
    for key in KEYS:
        await store.add(key, data_for(None, 1000))
        assert store.held_bytes <= 2 * one
    assert len(store) == 2


async def test_clearance_that_is_too_large_is_not_kept_and_the_one_before_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clearances, "MAX_CLEARANCE_BYTES", 100_000)
    store = Clearances(TTL)
    before = await store.add(KEY, data_for(None))
    assert await store.add(KEY, data_for(None, 200_000)) is None
    assert await store.find(KEY, TTL) is before


def test_answer_tells_its_age_and_has_no_picture() -> None:
    loop = VirtualLoop()
    store = Clearances(TTL)
    found: Any = loop.run(store.add(KEY, data_for(None)))
    loop.advance(7)

    async def answer() -> JsonDict:
        told: JsonDict = found.answer()
        return told

    told = loop.run(answer())
    assert told["clearance"] == {"id": found.id, "age": 7.0, "reused": True}
    assert told["screenshot"] is None
    assert SOLVED["screenshot"] is not None
    loop.shutdown()


async def test_log_names_host_and_age_of_a_refused_one_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    store = Clearances(TTL)
    found = await store.add(KEY, data_for(None, 30))
    assert found is not None
    assert "x" * 30 not in repr(found)
    await store.refuse("a", found.id)
    (record,) = [record for record in caplog.records if record.name.startswith("captcha_bypass")]
    assert (record.message, record.__dict__["host"]) == ("clearance refused", "0.test")
