"""What becomes of requests through browsers that die, and what is left of those that came and went."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import psutil
import pytest

from tests.support.fetch_client import FetchClient, content, serving
from tests.support.fire import contents, drivers, hit, parents
from tests.support.scripted_queue import until
from tests.support.service import Service, alive, eventually
from tests.support.solve_client import Client
from tests.support.visits import create, destroy, names

pytestmark = pytest.mark.browser

#: Sessions that the service has room for.
ROOM = 4
#: What a request may end with whose browser died.
ENDS = {200, "browser_crashed"}


@pytest.fixture
async def fetch(service: Service, client: Client) -> AsyncIterator[FetchClient]:
    """It has all the room to itself."""
    for name in await names(client):
        await destroy(client, name)
    async with aiohttp.ClientSession() as session:
        yield FetchClient(session, service.url)


def kill(service: Service, what: str) -> None:
    busy = parents(service, busy=True)
    pages = [process for browser in busy for process in contents(browser)]
    victims = {"content": pages, "browser": busy, "driver": drivers(service)}
    assert victims[what]
    hit(victims[what])


async def test_requests_end_each_when_their_browser_dies_and_the_next_solves_anew(
    fetch: FetchClient, service: Service
) -> None:
    async with serving() as (site, url):

        async def end(number: int) -> object:
            status, body = await fetch(f"{url}/slow?seconds=0.05&n={number}", timeout=60)
            return status if status == 200 else body["error"]["code"]

        for what in ("content", "browser", "driver"):
            await fetch.answered(f"{url}/echo")
            site.seen.clear()
            solves = site.solves
            ends = asyncio.gather(*(end(number) for number in range(100)))
            await until(lambda: site.seen["/slow"] >= 30)
            kill(service, what)
            async with asyncio.timeout(70):
                found = Counter(await ends)
            assert set(found) <= ENDS, (what, found)
            assert found["browser_crashed"] <= 6, "no more than were on their way"
            assert (await fetch.answered(f"{url}/echo"))["status"] == 200
            assert site.solves > solves, what
            assert (await fetch.health())["fetches"]["running"] == 0
    for sign in ("failed unexpectedly", "never retrieved"):
        assert sign not in service.log


@pytest.mark.parametrize(
    "count", [6, pytest.param(500, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
)
async def test_sessions_that_came_and_went_leave_no_process_and_no_folder(
    fetch: FetchClient, service: Service, count: int
) -> None:
    async with serving(is_open=True) as (site, url):
        for number in range(ROOM):
            await fetch.answered(f"{url}/echo", jar=f"jar-{number}")
        before = len(alive(service.process_tree())), len(service.folders())
        for number in range(ROOM, count, 2):
            # Two at once, while one that should go is in use.
            asked = [("/echo", number), ("/echo", number + 1), ("/slow", number - 3)]
            got = await asyncio.gather(*(fetch(f"{url}{p}", jar=f"jar-{n}") for p, n in asked))
            assert [status for status, _ in got] == [200] * 3
        assert site.seen["/echo"] >= 2 * count, "each opened a page first"
        fetches = (await fetch.health())["fetches"]
        assert (fetches["running"], fetches["sites"]) == (0, ROOM)
        async with fetch.session.get(f"{service.url}/sessions") as response:
            assert await response.json() == {"sessions": []}

        def is_as_before() -> bool:
            now = len(alive(service.process_tree())), len(service.folders())
            return now[0] <= before[0] + 3 and now[1] == before[1]  # Firefox keeps some in stock

        assert await eventually(is_as_before, 20)
    assert "failed unexpectedly" not in service.log


async def test_session_that_was_used_least_recently_goes_first(
    fetch: FetchClient, client: Client
) -> None:
    taken = [f"named-{number}" for number in range(ROOM - 2)]
    for name in taken:
        await create(client, name)
    async with serving(is_open=True) as (_, url):

        async def counted(jar: str) -> str:
            got = await fetch.answered(f"{url}/count", jar=jar)
            return content(got).decode()

        for jar in ("a", "b", "a", "c"):
            await counted(jar)
        # Pages that a session has asked for, which the one that came again has forgotten.
        assert [await counted(jar) for jar in ("a", "c")] == ["4", "3"]
        assert await counted("b") == "2"
    assert await names(client) == taken, "those with a name stay"
    for name in taken:
        await destroy(client, name)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_memory_is_flat_over_twenty_thousand_requests(
    fetch: FetchClient, service: Service
) -> None:
    async with serving() as (_, url):
        await fetch.answered(f"{url}/echo")
        turns = asyncio.Semaphore(6)

        async def get() -> None:
            async with turns:
                assert len(content(await fetch.answered(f"{url}/bytes/10240"))) == 10_240

        sizes = []
        for _ in range(10):
            await asyncio.gather(*(get() for _ in range(2_000)))
            parent = psutil.Process(service.process.pid)
            sizes.append(sum(p.memory_info().rss for p in [parent, *alive(service.process_tree())]))
        print([size // 2**20 for size in sizes])  # for whoever reads the soak's log
        assert min(sizes[5:]) < min(sizes[:5]) + 100 * 2**20, sizes
