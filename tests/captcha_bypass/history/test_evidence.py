"""The evidence of failed tasks: bounded in number, bytes and time."""

from __future__ import annotations

from captcha_bypass.history import Evidence, EvidenceStore
from tests.support.virtual_time import VirtualLoop


def page(html: int = 0, jpeg: int = 0, owner: str = "") -> Evidence:
    return Evidence(owner, "u", b"h" * html, b"j" * jpeg, at=1.0)


def make(most: int = 10, max_bytes: int = 1_000_000, seconds: float = 600.0) -> EvidenceStore:
    return EvidenceStore(most=most, max_bytes=max_bytes, seconds=seconds)


async def test_the_last_tasks_keep_theirs_and_who_loses_it_is_told() -> None:
    store, gone = make(most=2), list[str]()
    store.on_gone = gone.append
    for task_id in "abc":
        store.keep(task_id, page(html=10))
    assert gone == ["a"]
    assert [task_id for task_id in "abc" if task_id in store] == ["b", "c"]
    assert store.bytes == 2 * page(html=10).bytes


async def test_all_of_it_holds_no_more_bytes_than_the_bound() -> None:
    store = make(max_bytes=1000)
    for task_id in "abcd":
        store.keep(task_id, page(html=300))
        assert store.bytes <= 1000
    assert [task_id for task_id in "abcd" if task_id in store] == ["c", "d"]
    for task_id in "cd":
        store.drop(task_id)
    assert store.bytes == 0


async def test_a_page_too_large_by_itself_keeps_its_picture_alone() -> None:
    store = make(max_bytes=1000)
    store.keep("a", page(html=100))
    store.keep("b", page(html=2000, jpeg=100))
    store.keep("c", page(html=2000, jpeg=2000))
    kept = store.get("b", "")
    assert kept is not None
    assert (kept.html, len(kept.jpeg or b"")) == (None, 100)
    assert "a" in store
    assert "c" not in store


async def test_a_task_has_its_last_evidence_once() -> None:
    store = make()
    store.keep("a", page(html=100))
    store.keep("a", page(html=200))
    assert store.bytes == page(html=200).bytes


async def test_only_its_owner_gets_it() -> None:
    store = make()
    store.keep("a", page(owner="key 0"))
    assert store.get("a", "key 0") is not None
    assert store.get("a", "key 1") is None
    assert store.get("b", "key 0") is None


async def test_none_is_kept_where_the_setting_says_so() -> None:
    store = make(most=0)
    store.keep("a", page())
    assert not store.is_open
    assert "a" not in store


def test_it_is_gone_when_its_time_is_up_and_no_timer_is_left_behind() -> None:
    loop = VirtualLoop()

    async def keep(task_id: str) -> None:
        store.keep(task_id, page())

    store, gone = make(seconds=10.0), list[str]()
    store.on_gone = gone.append
    try:
        loop.run(keep("a"))
        loop.advance(6)
        loop.run(keep("a"))
        loop.run(keep("b"))
        loop.advance(6)
        assert "a" in store  # whose first evidence is 12 s old, and the last one 6
        store.drop("b")
        loop.advance(6)
        assert "a" not in store
        assert gone == ["a", "b", "a"]
        assert not store._timers
    finally:
        loop.shutdown()
