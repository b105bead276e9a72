"""Which session a request is sent in, and when its site is solved: without browsers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from captcha_bypass.egress.routes import Permit
from captcha_bypass.egress.rules import Destination
from captcha_bypass.errors import (
    InvalidRequest,
    QueueFull,
    ShuttingDown,
    TaskError,
    TooManySessions,
)
from captcha_bypass.fetching.messages import Answer, ChallengeNotPassed, TimeIsUp
from captcha_bypass.fetching.sender import NotSent, Sent, Wanted
from captcha_bypass.fetching.sites import Sites
from captcha_bypass.status import SessionNow
from captcha_bypass.tasks.base import JsonDict
from captcha_bypass.tasks.memory import MemoryQueue
from captcha_bypass.wire.fetch import Fetched, FetchRequest, NotThrough, Obstacle
from captcha_bypass.wire.task import SessionKey
from tests.support.native_tasks import SOLUTION
from tests.support.scripted_queue import until

CHALLENGE = 403, (("cf-mitigated", "challenge"),)
FINE = 200, (("X-Fine", "yes"),)
PERMIT = Permit(Destination("site.test", 80))


class World:
    """Sessions, and a site: each solve of a session is good for so many answers."""

    def __init__(self, uses: int = 10**9) -> None:
        self.uses = uses
        self.left: dict[SessionKey, int] = {}
        self.retiring: set[SessionKey] = set()
        self.kept: Counter[SessionKey] = Counter()
        self.sent: list[tuple[SessionKey, str]] = []
        self.solves: list[JsonDict] = []
        self.running = self.most = 0
        self.cancelled = 0
        #: How the next solves end; then well.
        self.ends: list[JsonDict] = []
        #: What sending raises next.
        self.failures: list[Exception] = []
        self.solve_seconds = self.send_seconds = 0.0
        #: Whether sessions stay when a solve fails, and end as soon as it has ended.
        self.stays = self.vanishes = False

    # Sessions

    @property
    def sites(self) -> int:
        return len(self.left)

    @contextmanager
    def keep(self, key: SessionKey) -> Iterator[None]:
        self.kept[key] += 1
        try:
            yield
        finally:
            self.kept[key] -= 1

    def is_settled(self, key: SessionKey) -> bool:
        return key in self.left

    def is_retiring(self, key: SessionKey) -> bool:
        return key in self.retiring

    def idle(self, key: SessionKey) -> float:
        return 7.0

    # Sender

    async def send(self, key: SessionKey, permit: Permit, wanted: Wanted, deadline: float) -> Sent:
        assert permit == PERMIT
        assert self.kept[key] > 0, "it must not be ended meanwhile"
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.send_seconds)
        finally:
            self.running -= 1
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append((key, wanted.request.method))
        self.left[key] -= 1
        status, headers = FINE if self.left[key] >= 0 else CHALLENGE
        answer = Answer(wanted.request.url, status, headers, b"body", None, 0.0)
        return Sent(answer, "agent")

    # Workers

    async def __call__(self, task_id: str, payload: JsonDict) -> JsonDict:
        self.solves.append(payload)
        try:
            await asyncio.sleep(self.solve_seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        outcome = self.ends.pop(0) if self.ends else {"data": {**SOLUTION, "solved": "anubis"}}
        code = outcome.get("error", {}).get("code", "not_a_page")
        opened = code == "not_a_page" and not outcome.get("data", {}).get("timeout_reached")
        if (opened or self.stays) and not self.vanishes:
            key = SessionKey(payload["owner"], payload["session"], payload.get("of_site", False))
            self.left[key] = self.uses
        return outcome


def failed(code: str, **data: object) -> JsonDict:
    return {"error": {"code": code, "message": f"it is {code}"}, "data": data}


HINT: JsonDict = {"code": "text_hidden", "message": "It is hidden.", "value": "words"}


def late(**data: object) -> JsonDict:
    return {"data": {**SOLUTION, "timeout_reached": True, "challenge": None, **data}}


class Running:
    def __init__(self, world: World, sites: Sites, queue: MemoryQueue) -> None:
        self.world = world
        self.sites = sites
        self.queue = queue

    async def fetch(self, owner: str = "one", **fields: object) -> Fetched:
        request = {"url": "http://site.test/x", "timeout": 20.0, **fields}
        return await self.sites.fetch(FetchRequest.model_validate(request), owner)


Make = Callable[..., Any]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    ends = []

    async def make(world: World | None = None, *, workers: int = 4, max_pending: int = 99) -> Any:  # noqa: ANN401
        world = world or World()
        queue = MemoryQueue(max_pending=max_pending, result_ttl=60, max_results_bytes=2**20)
        await queue.start(world, workers)
        sites = Sites(queue, world, world, lambda _: PERMIT, at_once=6, max_per_host=4)
        ends.append((queue, sites))
        return Running(world, sites, queue)

    yield make
    for queue, sites in ends:
        await queue.stop(0)
        await sites.close()


async def test_first_request_solves_and_later_ones_do_not(make: Make) -> None:
    running = await make()
    first, second = await running.fetch(), await running.fetch(method="POST", body="x")
    assert (first.status, first.solved, first.user_agent) == (200, "anubis", "agent")
    assert (second.status, second.solved) == (200, None)
    (solve,) = running.world.solves
    assert (solve["url"], solve["no_challenge"], solve["of_site"]) == (
        "http://site.test/x",
        True,
        True,
    )
    assert solve["timeout"] < 20
    stats = await running.queue.stats()
    assert (stats.queued, stats.running) == (0, 0)


async def test_two_hundred_at_once_share_one_solve(make: Make) -> None:
    world = World()
    world.solve_seconds = 0.1
    running = await make(world)
    got = await asyncio.gather(*(running.fetch() for _ in range(200)))
    assert {(item.status, item.solved) for item in got} == {(200, "anubis")}
    assert len(world.solves) == 1
    assert world.most <= 6
    assert running.sites.status().running == 0


async def test_clearance_that_is_used_up_is_renewed_for_all_who_are_challenged(make: Make) -> None:
    world = World(uses=20)
    world.send_seconds = 0.001
    running = await make(world)
    got = await asyncio.gather(*(running.fetch() for _ in range(200)))
    assert {item.status for item in got} == {200}
    # Each challenged answer takes nothing from the next clearance.
    assert 10 <= len(world.solves) <= 11


async def test_challenge_on_a_post_is_solved_and_the_post_sent_again(make: Make) -> None:
    world = World(uses=1)
    running = await make(world)
    await running.fetch()
    got = await running.fetch(method="POST", body="x")
    assert (got.status, got.solved) == (200, "anubis")
    assert [method for _, method in world.sent] == ["GET", "POST", "POST"]


async def test_challenge_that_comes_again_and_again_ends_after_two_solves(make: Make) -> None:
    world = World(uses=0)
    running = await make(world)
    with pytest.raises(ChallengeNotPassed, match=r"still answers .* cloudflare") as raised:
        await running.fetch()
    assert (len(world.solves), len(world.sent)) == (2, 2)
    assert raised.value.obstacle == Obstacle(
        challenge="cloudflare", challenge_kind="automatic", unmet=["no_challenge"]
    )


@pytest.mark.parametrize(
    ("data", "error", "obstacle"),
    [
        (
            {"challenge": "anubis", "challenge_kind": "human", "unmet": ["no_challenge"]},
            ChallengeNotPassed,
            {"challenge": "anubis", "challenge_kind": "human", "unmet": ["no_challenge"]},
        ),
        (
            {"solved": "anubis", "challenge_kind": "automatic", "unmet": ["success_text"]},
            TimeIsUp,
            {"unmet": ["success_text"]},
        ),
        (  # a page that could not be read
            {"status_code": None, "unmet": ["success_text"]},
            TimeIsUp,
            {"unmet": ["success_text"]},
        ),
    ],
)
async def test_solve_in_vain_says_what_was_in_the_way(
    make: Make, data: JsonDict, error: type[NotThrough], obstacle: JsonDict
) -> None:
    world = World()
    world.ends = [late(**data, hints=[HINT])]
    running = await make(world)
    with pytest.raises(error) as raised:
        await running.fetch()
    assert raised.value.obstacle == Obstacle.model_validate({**obstacle, "hints": [HINT]})


async def test_owners_origins_and_sessions_are_apart(make: Make) -> None:
    running = await make()
    await running.fetch("one")
    await running.fetch("two")
    await running.fetch("one", session="mine")
    await running.fetch("one", url="https://site.test/x")
    assert len(running.world.solves) == 4
    assert len({key for key, _ in running.world.sent}) == 4
    assert {key.owner for key, _ in running.world.sent} == {"one", "two"}
    assert [key.of_site for key, _ in running.world.sent] == [True, True, False, True]


async def test_file_in_place_of_a_page_counts_as_through(make: Make) -> None:
    world = World()
    world.ends = [failed("not_a_page", solved="anubis")]
    assert (await (await make(world)).fetch()).solved == "anubis"


@pytest.mark.parametrize(
    ("end", "error", "says"),
    [
        (failed("dns_error"), TaskError, "it is dns_error"),
        (failed("browser_unavailable"), TaskError, "it is browser_unavailable"),
        (failed("too_many_sessions"), TooManySessions, "it is too_many_sessions"),
        (failed("shutting_down"), ShuttingDown, ""),
        (late(challenge="anubis"), ChallengeNotPassed, "anubis"),
        (late(challenge="anubis", challenge_kind="human"), ChallengeNotPassed, "for a person"),
        (late(), TimeIsUp, "conditions did not hold in time"),
        (late(status_code=None), TimeIsUp, "did not come in time"),
    ],
)
async def test_solve_that_fails_is_told_to_all_who_wait_and_the_next_tries_again(
    make: Make, end: JsonDict, error: type[Exception], says: str
) -> None:
    world = World()
    world.ends, world.solve_seconds = [end], 0.05
    running = await make(world)
    got = await asyncio.gather(*(running.fetch() for _ in range(20)), return_exceptions=True)
    assert {type(item) for item in got} == {error}
    assert says in str(got[0])
    assert (len(world.solves), world.sent) == (1, [])
    assert (await running.fetch()).status == 200


@pytest.mark.parametrize("code", ["blocked_address", "dns_error", "navigation_error"])
async def test_page_that_leads_nowhere_is_no_obstacle_to_the_request(make: Make, code: str) -> None:
    world = World()
    world.ends, world.stays = [failed(code)], True
    running = await make(world)
    got = await running.fetch()
    assert (got.status, got.solved) == (200, None)
    assert (len(world.solves), len(world.sent)) == (1, 1)


async def test_challenged_request_is_not_sent_again_after_a_solve_that_failed(make: Make) -> None:
    world = World(uses=1)
    running = await make(world)
    await running.fetch()
    world.ends, world.stays = [failed("dns_error")], True
    with pytest.raises(TaskError, match="dns_error"):
        await running.fetch()
    assert (len(world.solves), len(world.sent)) == (2, 2)


async def test_session_that_ends_with_each_solve_is_not_solved_for_ever(make: Make) -> None:
    world = World()
    world.vanishes = True
    running = await make(world)
    with pytest.raises(NotSent):
        await running.fetch()
    assert len(world.solves) == 3
    assert world.sent == []


async def test_who_hangs_up_leaves_the_solve_to_others_and_the_last_ends_it(make: Make) -> None:
    world = World()
    world.solve_seconds = 0.2
    running = await make(world)
    one, two = asyncio.create_task(running.fetch()), asyncio.create_task(running.fetch())
    await until(lambda: len(world.solves) == 1)
    one.cancel()
    assert (await two).status == 200
    assert (len(world.solves), world.cancelled) == (1, 0)
    world.left.clear()
    world.solve_seconds = 60
    tasks = [asyncio.create_task(running.fetch()) for _ in range(3)]
    await until(lambda: len(world.solves) == 2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert world.cancelled == 1
    assert world.kept.total() == 0
    world.solve_seconds = 0.2
    assert (await running.fetch()).status == 200


async def test_impatient_client_does_not_decide_for_the_patient(make: Make) -> None:
    world = World()
    world.ends, world.solve_seconds = [late()], 0.05
    running = await make(world)
    hurried = asyncio.create_task(running.fetch(timeout=1.0))
    await until(lambda: len(world.solves) == 1)
    assert (await running.fetch()).status == 200
    with pytest.raises(TimeIsUp):
        await hurried
    assert len(world.solves) == 2


async def test_session_that_ends_before_the_request_has_left_is_solved_anew(make: Make) -> None:
    world = World()
    running = await make(world)
    await running.fetch()
    world.left.clear()
    world.failures = [NotSent("it has ended")]
    assert (await running.fetch()).status == 200
    assert len(world.solves) == 2
    world.failures = [NotSent("it has ended")] * 3
    with pytest.raises(NotSent):
        await running.fetch()


async def test_request_that_was_broken_off_is_not_sent_again(make: Make) -> None:
    world = World()
    running = await make(world)
    world.failures = [TaskError("browser_crashed", "it was lost")]
    with pytest.raises(TaskError, match="it was lost"):
        await running.fetch()
    assert world.sent == []
    assert len(world.solves) == 1


async def test_site_leaves_a_browser_that_waits_for_its_end_however_busy_it_is(make: Make) -> None:
    world = World()
    running = await make(world)
    await running.fetch()
    world.send_seconds = 0.5
    (old,) = world.left
    under_way = asyncio.create_task(running.fetch())
    await until(lambda: world.running == 1)
    world.retiring.add(old)
    assert (await running.fetch()).status == 200
    assert (await under_way).status == 200
    assert len({key for key, _ in world.sent}) == 2
    assert len(world.solves) == 2
    assert len(running.sites._sites) == 1


async def test_timeout_counts_for_all_of_it(make: Make) -> None:
    world = World()
    world.send_seconds = 30
    running = await make(world)
    with pytest.raises(TimeIsUp, match="answer"):
        await running.fetch(timeout=0.3)


async def test_what_a_page_cannot_send_is_refused_before_anything_is_solved(make: Make) -> None:
    running = await make()
    with pytest.raises(InvalidRequest) as caught:
        await running.fetch(headers={"Cookie": "a=b", "Host": "x"}, method="TRACE")
    assert {item.field for item in caught.value.fields} == {
        "method",
        "headers.Cookie",
        "headers.Host",
    }
    assert running.world.solves == []


async def test_full_queue_and_stopping_service_are_told_apart(make: Make) -> None:
    world = World()
    world.solve_seconds = 0.5
    running = await make(world, workers=1, max_pending=1)
    busy = [
        asyncio.create_task(running.fetch(url=f"http://site.test:{port}/")) for port in (81, 82)
    ]
    await until(lambda: len(world.solves) == 1)
    with pytest.raises(QueueFull):
        await running.fetch()
    assert {item.status for item in await asyncio.gather(*busy)} == {200}
    await running.queue.stop(0)
    with pytest.raises(ShuttingDown):
        await running.fetch()


async def test_sites_that_are_over_are_forgotten(make: Make) -> None:
    running = await make()
    for port in range(1000, 1050):
        await running.fetch(url=f"http://site.test:{port}/")
        running.world.left.clear()
    assert len(running.sites._sites) == 1


async def test_each_jar_has_a_session_of_its_own(make: Make) -> None:
    running = await make()
    for jar in ("one", "two", None, "one"):
        await running.fetch(jar=jar)
    assert len(running.world.solves) == 3
    assert len({key for key, _ in running.world.sent}) == 3


async def test_jar_and_session_are_not_given_together(make: Make) -> None:
    running = await make()
    with pytest.raises(ValueError, match="give session or jar, not both"):
        await running.fetch(jar="one", session="two")


async def test_first_cookies_are_set_where_a_session_begins_and_never_again(make: Make) -> None:
    running = await make(World(uses=1))
    given = {
        "first_cookies": [{"name": "a", "value": "1"}],
        "cookies": [{"name": "b", "value": "2"}],
    }
    for _ in range(2):
        await running.fetch(**given)
    first, renewed = running.world.solves
    assert [cookie["name"] for cookie in first["cookies"]] == ["a", "b"]
    assert [cookie["name"] for cookie in renewed["cookies"]] == ["b"]


async def test_an_owner_is_told_of_its_sites_that_have_a_session(make: Make) -> None:
    running = await make()
    await running.fetch()
    await running.fetch(url="http://other.test:8080/y")
    await running.fetch(url="http://named.test/", session="mine")
    await running.fetch(owner="two", url="http://theirs.test/")
    assert running.sites.now("one") == (
        SessionNow("http://site.test", 7.0),
        SessionNow("http://other.test:8080", 7.0),
    )
    running.world.left.clear()
    assert running.sites.now("one") == ()
