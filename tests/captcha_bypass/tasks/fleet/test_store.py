"""Single steps of nodes that share a queue: who may run a task, and whom it holds up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from captcha_bypass.tasks.fleet.store import Store
from tests.captcha_bypass.tasks.fleet.conftest import store_of


class Pair:
    """Two nodes, a and b, with the store that they share."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tokens: dict[str, tuple[str, str]] = {}
        self.claim = store.claim
        self.leave_home = store.leave_home

    async def submit(self, task_id: str, bound: int = 2, home: str = "", pin: str = "") -> None:
        await self._store.submit(task_id, {}, 5.0, {"g": bound}, "", 99, home=home, pin=pin)

    async def take(self, node: str) -> str | None:
        token = uuid4().hex
        taken = await self._store.take(node, token)
        if taken is None:
            return None
        self._tokens[taken.task_id] = node, token
        return taken.task_id

    async def finish(self, task_id: str) -> None:
        node, token = self._tokens[task_id]
        assert await self._store.finish(node, task_id, token, {"data": {}}) == (True, [])

    async def hand_over(self, task_id: str) -> None:
        node, token = self._tokens[task_id]
        await self._store.hand_over(node, task_id, token)


@pytest.fixture
async def pair(redis: Redis) -> AsyncIterator[Pair]:
    store = store_of(redis, f"test:{uuid4().hex}:")
    for node in "ab":
        await store.beat(node, node, 2, f"http://{node}", "", {})
    yield Pair(store)
    await store.close()


async def test_task_that_only_another_node_may_run_holds_up_none_behind_it(pair: Pair) -> None:
    for task_id in ("1", "2"):
        await pair.submit(task_id)
        assert await pair.take("a") == task_id
    await pair.submit("pinned", pin="a")
    await pair.submit("any")
    assert await pair.take("b") is None
    await pair.finish("1")
    assert await pair.take("b") == "any"


async def test_task_that_gets_its_home_while_it_is_next_holds_up_none_behind_it(pair: Pair) -> None:
    for task_id in ("1", "2"):
        await pair.submit(task_id)
        assert await pair.take("a") == task_id
    await pair.submit("at home", home="fetch:f")
    await pair.submit("any")
    await pair.finish("1")
    assert (await pair.claim("fetch:f", "a")).node == "a"
    assert await pair.take("b") == "any"
    await pair.finish("2")
    assert await pair.take("b") is None
    assert await pair.take("a") == "at home"


async def test_task_whose_home_is_nobodys_any_more_is_anybodys(pair: Pair) -> None:
    assert (await pair.claim("fetch:f", "a")).node == "a"
    await pair.submit("1", home="fetch:f")
    assert await pair.take("b") is None
    await pair.leave_home("fetch:f", "a")
    assert await pair.take("b") == "1"


async def test_task_that_comes_back_to_its_line_is_not_overtaken_there(pair: Pair) -> None:
    await pair.submit("first", bound=1, pin="a")
    await pair.submit("second", bound=1)
    assert await pair.take("a") == "first"
    assert await pair.take("b") is None
    await pair.hand_over("first")
    assert await pair.take("b") is None
    assert await pair.take("a") == "first"
    await pair.finish("first")
    assert await pair.take("b") == "second"


async def test_node_that_has_not_said_that_it_lives_is_given_nothing(pair: Pair) -> None:
    await pair.submit("1")
    assert await pair.take("unheard of") is None
    assert await pair.take("b") == "1"
