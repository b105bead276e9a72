"""When a person is called, for how long, and what becomes of the task's deadlines: with a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pytest

from captcha_bypass.browsers.pool import KILL_GRACE
from captcha_bypass.challenges import Challenge
from captcha_bypass.human.waits import Waits
from captcha_bypass.solving.attending import END_SECONDS, Attendant
from captcha_bypass.solving.bounds import Bounds
from captcha_bypass.solving.outcome import Outcome
from captcha_bypass.tasks.memory import MemoryQueue
from captcha_bypass.wire.task import Task
from tests.support.virtual_time import VirtualLoop

HUMAN, AUTOMATIC = Challenge("datadome", "human"), Challenge("cloudflare", "automatic")
NOW = pytest.approx


@dataclass
class Scene:
    """A task of which the page shows what a test says."""

    attendant: Attendant
    bounds: Bounds
    waits: Waits
    endings: list[str]
    #: What the attendant asks the watcher and the explainer.
    standing: Challenge | None = None
    widget: bool = False
    #: Until when the page is lent.
    lent: list[float] = field(default_factory=list)
    in_time: asyncio.Task[bool] | None = None

    async def __aenter__(self) -> Self:
        await self.attendant.__aenter__()
        self.in_time = asyncio.create_task(self.bounds.in_time(asyncio.sleep(3600)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        assert self.in_time is not None
        self.in_time.cancel()
        await self.attendant.__aexit__(kind, error, tb)

    def hints(self) -> list[str]:
        return [hint.code for hint in self.attendant.explained(Outcome()).reasons.hints]


def make_scene(*, most: int = 1, on_challenge: str = "wait", timeout: float = 60) -> Scene:
    queue = MemoryQueue(max_pending=1, result_ttl=60, max_results_bytes=2**20)
    endings: list[str] = []
    waits = Waits(queue, most=most, seconds=600, report=endings.append)
    bounds = Bounds(asyncio.get_running_loop().time() + timeout, 1000)
    fields = {"url": "http://site.test/", "success_text": "x", "timeout": timeout}
    task = Task.model_validate(fields | {"on_challenge": on_challenge})

    class Ears:
        page, was_ended = None, False

        @property
        def loan(self) -> Ears:
            return self

        @property
        def standing(self) -> Challenge | None:
            return scene.standing

        async def has_widget(self) -> bool:
            return scene.widget

        def extend(self, when: float) -> None:
            scene.lent.append(when)

    ears: Any = Ears()
    attendant = Attendant(waits, "a-task", task, ears, ears, ears, bounds)
    scene = Scene(attendant, bounds, waits, endings)
    return scene


@pytest.fixture
def run() -> Iterator[Callable[[Coroutine[Any, Any, None]], None]]:
    loop = VirtualLoop()
    yield loop.run
    loop.shutdown()


Run = Callable[[Coroutine[Any, Any, None]], None]


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_challenge_for_a_person_calls_one_after_five_seconds(run: Run) -> None:
    async def test() -> None:
        async with make_scene() as scene:
            scene.standing = HUMAN
            await asyncio.sleep(5)
            assert scene.waits.count == 0
            assert scene.bounds.deadline == 60
            await asyncio.sleep(1)
            wait = scene.waits.get("a-task")
            assert wait is not None
            assert wait.vendor == "datadome"
            assert scene.bounds.deadline == NOW(now() + 600, abs=1)
            assert scene.lent == [NOW(scene.bounds.deadline + KILL_GRACE)]
            assert scene.bounds.was_moved

    run(test())


def test_one_that_passes_by_itself_calls_nobody(run: Run) -> None:
    async def test() -> None:
        async with make_scene() as scene:
            for standing in (HUMAN, None, HUMAN, None):
                scene.standing = standing
                await asyncio.sleep(4)
            assert scene.lent == []
        assert scene.endings == []
        assert not scene.bounds.was_moved

    run(test())


def test_an_automatic_one_calls_a_person_only_where_a_captcha_waits(run: Run) -> None:
    async def test() -> None:
        async with make_scene() as scene:
            scene.standing = AUTOMATIC
            await asyncio.sleep(20)
            assert scene.waits.count == 0
            scene.widget = True
            await asyncio.sleep(6)
            assert scene.waits.count == 1

    run(test())


def test_nobody_is_called_where_the_task_does_not_ask_for_it(run: Run) -> None:
    async def test() -> None:
        async with make_scene(on_challenge="report") as scene:
            scene.standing = HUMAN
            await asyncio.sleep(20)
            assert scene.waits.count == 0
        assert scene.hints() == []

    run(test())


def test_once_the_time_is_up_the_task_is_over_and_its_page_is_taken_soon(run: Run) -> None:
    async def test() -> None:
        async with make_scene() as scene:
            scene.standing = HUMAN
            assert scene.in_time is not None
            assert await scene.in_time is False
            assert now() == NOW(605.5, abs=1)
            await asyncio.sleep(0)
            assert scene.waits.count == 0
            assert scene.lent[1:] == [NOW(now() + END_SECONDS)]
            assert scene.hints() == ["human_timeout"]
        assert scene.endings == ["timeout"]

    run(test())


def test_whoever_gives_up_ends_the_task_at_once(run: Run) -> None:
    async def test() -> None:
        async with make_scene() as scene:
            scene.standing = HUMAN
            await asyncio.sleep(10)
            wait = scene.waits.get("a-task")
            assert wait is not None
            wait.leave("127.0.0.1")
            assert scene.in_time is not None
            assert await scene.in_time is False
            assert now() == NOW(10)
            assert scene.lent[1:] == [NOW(10 + END_SECONDS)]
            assert scene.hints() == ["human_left"]
        assert scene.endings == ["left"]

    run(test())


def test_a_task_that_ends_meanwhile_ends_the_wait(run: Run) -> None:
    async def test() -> None:
        async with make_scene() as scene:
            scene.standing = HUMAN
            await asyncio.sleep(10)
            scene.attendant.end("solved")
        assert scene.hints() == []
        assert scene.waits.count == 0
        assert scene.endings == ["solved"]

    run(test())


@pytest.mark.parametrize(
    ("error", "ending"), [(asyncio.CancelledError, "cancelled"), (ValueError, "failed")]
)
def test_a_task_that_is_cancelled_or_fails_ends_the_wait(
    run: Run, error: type[BaseException], ending: str
) -> None:
    scenes: list[Scene] = []

    async def test() -> None:
        async with make_scene() as scene:
            scenes.append(scene)
            scene.standing = HUMAN
            await asyncio.sleep(10)
            assert scene.waits.count == 1
            raise error

    with pytest.raises(error):
        run(test())
    assert scenes[0].endings == [ending]
    assert scenes[0].waits.count == 0


def test_without_room_the_task_goes_on_and_takes_the_place_that_becomes_free(run: Run) -> None:
    async def test() -> None:
        async with make_scene() as scene:
            scene.standing = HUMAN
            page: Any = None
            async with scene.waits.open("other", "", "site.test", "datadome", page):
                await asyncio.sleep(20)
                assert scene.waits.get("a-task") is None
                assert scene.bounds.deadline == 60
                assert scene.hints() == ["no_human_room"]
            assert scene.endings == ["no_room", "failed"]
            await asyncio.sleep(2)
            assert scene.waits.get("a-task") is not None

    run(test())
