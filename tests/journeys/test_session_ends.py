"""Sessions that nobody uses, and such as are used and deleted at once: nothing of them is left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest

from tests.support.fire import guards, repeated, seeded
from tests.support.service import Service, eventually, run_service
from tests.support.solve_client import Client, Json, client_of
from tests.support.visits import Visits, destroy, names, number, until_none, visit

pytestmark = pytest.mark.browser

#: Sessions that tasks race for.
NAMES = 4


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose sessions end soon; nothing of it is left when it has ended."""
    flags = ("--workers", "3", "--max-sessions", "25", "--session-ttl", "2")
    with run_service(tmp_path_factory.mktemp("hasty"), *flags) as service:
        yield service
    assert not service.family()


async def assert_nothing_is_left(
    client: Client, service: Service, visits: Visits, sessions: int
) -> None:
    assert await names(client) == []
    # One page may be ready in each browser, and one browser may be ready.
    assert await eventually(lambda: len(service.labels()) <= 2, 20)
    assert await eventually(lambda: guards(service) <= 2, 20)
    # Firefox keeps windows, and their processes, of as many pages as there ever were at once: of each
    # session one, and one that is being closed.
    assert await eventually(lambda: len(service.content_processes()) <= 4 + 2 * sessions, 20)
    assert number(await visit(client, visits, None)) == 1


async def test_unused_session_ends_by_itself(hasty: Service, visits: Visits) -> None:
    async with client_of(hasty) as client:
        await client.until_warm()
        await visit(client, visits, "a")
        assert await names(client) == ["a"]
        await until_none(client)
        assert number(await visit(client, visits, "a")) == 1
        await destroy(client, "a")


@repeated(8, 50, seconds=4)
async def test_races_of_use_and_deletion_leave_nothing_behind(
    hasty: Service, visits: Visits, times: int
) -> None:
    draw = seeded()
    url = str(visits.server.make_url("/"))
    async with client_of(hasty) as client:
        await client.until_warm()

        async def race(n: int) -> None:
            name = f"s{n % NAMES}"
            request = {"url": url, "success_text": "visit", "timeout": 20, "session": name}
            task_id = await client.submit(**request)
            await asyncio.sleep(draw.random() * 2)
            await destroy(client, name)
            view = await client.finished(task_id)
            assert view["status"] == "completed" or view["error"]["code"] == "session_lost"

        async with asyncio.TaskGroup() as group:
            for n in range(times):
                group.create_task(race(n))
        for name in await names(client):
            await destroy(client, name)
        await assert_nothing_is_left(client, hasty, visits, sessions=NAMES)


@repeated(9, 50, seconds=4)
async def test_races_of_commands_leave_nothing_behind(
    hasty: Service, visits: Visits, times: int
) -> None:
    """The same by FlareSolverr's commands, with sessions that are created before they are used."""
    draw, sessions = seeded(), times // 2
    async with client_of(hasty) as client, aiohttp.ClientSession() as http:
        await client.until_warm()

        async def command(**body: object) -> Json:
            async with http.post(f"{client.url}/v1", json=body) as response:
                answer: Json = await response.json()
                return answer

        async def race(n: int) -> None:
            name = f"s{n % sessions}"
            await command(cmd="sessions.create", session=name)
            if n % 3 == 0:
                url = str(visits.server.make_url("/"))
                await command(cmd="request.get", url=url, session=name, maxTimeout=20000)
            await asyncio.sleep(draw.random())
            await command(cmd="sessions.destroy", session=name)

        async with asyncio.TaskGroup() as group:
            for n in range(times):
                group.create_task(race(n))
        assert (await command(cmd="sessions.list"))["sessions"] == []
        await assert_nothing_is_left(client, hasty, visits, sessions)
