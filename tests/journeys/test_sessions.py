"""Sessions: named contexts that keep what their tasks left, apart from all others, until they end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp
import psutil
import pytest
from aiohttp.test_utils import TestServer

from tests.support.fire import contents, hit, parents
from tests.support.proxies import running_proxies
from tests.support.service import Service, eventually
from tests.support.solve_client import Client
from tests.support.visits import (
    HEAVY_BYTES,
    Visits,
    create,
    destroy,
    names,
    number,
    until_none,
    visit,
)

pytestmark = pytest.mark.browser


@pytest.fixture
async def user(client: Client) -> Client:
    """A client of a service that has no session with a name, and room for four.

    Nor has it one that ended by itself, of which the next task of its name would be told.
    """
    for name in {*await names(client), "a", "b"}:
        await destroy(client, name)
    return client


async def test_next_page_cannot_go_back_to_the_last_task_s(user: Client, visits: Visits) -> None:
    assert number(await visit(user, visits, "past")) == 1
    url = str(visits.server.make_url("/back"))
    view = await user.solve(url=url, success_text="visit", session="past", timeout=4)
    assert view["data"]["timeout_reached"] is True, view
    assert "visit" not in view["data"]["html"]
    assert number(await visit(user, visits, "past")) == 2


async def test_what_a_task_leaves_is_there_for_the_next_of_its_session_and_for_no_other(
    user: Client, visits: Visits
) -> None:
    assert [number(await visit(user, visits, "a")) for _ in range(2)] == [1, 2]
    assert number(await visit(user, visits, "b")) == 1
    assert number(await visit(user, visits, None)) == 1
    assert number(await visit(user, visits, "a")) == 3
    assert await names(user) == ["a", "b"]


async def test_requests_that_race_on_one_session_run_in_order_and_see_their_own_page(
    user: Client, visits: Visits
) -> None:
    wanted = [f"n{n}" for n in range(4)]
    ids = [
        await user.submit(
            url=str(visits.server.make_url(f"/slow/{name}")),
            success_text="page of",
            timeout=20,
            session="a",
        )
        for name in wanted
    ]
    views = [await user.finished(task_id) for task_id in ids]
    pages = [view["data"]["html"].split("page of ")[1].split(".")[0] for view in views]
    assert pages == wanted
    assert visits.most == 1
    assert visits.order == wanted


async def test_tasks_that_wait_for_a_session_hold_up_nobody_else(
    user: Client, visits: Visits
) -> None:
    slow = str(visits.server.make_url("/slow/x"))
    # The first of them lasts until it is deleted: somebody else's page may want a browser started.
    request = {"url": slow, "success_text": "never", "timeout": 60, "session": "a"}
    waiting = [await user.submit(**request) for _ in range(4)]
    await user.until_running(waiting[0])
    assert number(await visit(user, visits, None)) == 1
    assert (await user.result(waiting[1]))["status"] == "pending"
    for task_id in reversed(waiting):
        await user.delete(task_id)


async def test_deleted_session_is_gone_with_all_it_held(user: Client, visits: Visits) -> None:
    await visit(user, visits, "a/b c")
    assert (await destroy(user, "a/b c"))[0] == 200
    assert await names(user) == []
    assert (await destroy(user, "a/b c"))[0] == 404
    assert number(await visit(user, visits, "a/b c")) == 1


async def test_deleting_a_session_ends_the_task_that_has_it(user: Client, visits: Visits) -> None:
    url = str(visits.server.make_url("/"))
    await visit(user, visits, "a")
    task_id = await user.submit(url=url, success_text="never", timeout=30, session="a")
    await user.until_running(task_id)
    await asyncio.sleep(0.5)
    assert (await destroy(user, "a"))[0] == 200
    view = await user.finished(task_id)
    assert view["error"]["code"] == "session_lost"
    assert number(await visit(user, visits, "a")) == 1


async def test_there_are_only_so_many_sessions(user: Client, visits: Visits) -> None:
    assert number(await visit(user, visits, "a")) == 1
    for name in ("b", "c", "e"):
        await create(user, name)
    view = await visit(user, visits, "d")
    assert view["error"]["code"] == "too_many_sessions"
    assert "--max-sessions" in view["error"]["message"]
    await destroy(user, "b")
    assert number(await visit(user, visits, "d")) == 1


async def test_session_whose_browser_died_says_so_once_and_begins_anew(
    user: Client, visits: Visits, service: Service
) -> None:
    await visit(user, visits, "a")
    hit(parents(service))  # its page is at rest: none can be told by its connections
    await until_none(user)
    assert (await visit(user, visits, "a"))["error"]["code"] == "session_lost"
    assert number(await visit(user, visits, "a")) == 1


async def test_page_that_dies_takes_its_session_and_no_other(
    user: Client, visits: Visits, service: Service
) -> None:
    await visit(user, visits, "a")
    await visit(user, visits, "b")
    url = str(visits.server.make_url("/heavy"))
    task_id = await user.submit(url=url, success_text="never", timeout=30, session="b")
    # By what it holds, and not by when it came: the pages of both sessions may still be replaced.
    assert await eventually(lambda: len(heavy(service)) == 1, 25)
    hit(heavy(service))
    assert (await user.finished(task_id))["error"]["code"] == "browser_crashed"
    assert number(await visit(user, visits, "b")) == 1
    assert number(await visit(user, visits, "a")) == 2


def heavy(service: Service) -> list[psutil.Process]:
    """The processes of pages that hold what /heavy does."""
    found = []
    for parent in parents(service):
        for process in contents(parent):
            with suppress(psutil.Error):
                if process.memory_info().rss > HEAVY_BYTES:
                    found.append(process)
    return found


async def test_proxy_of_a_request_is_used_in_a_session_too(user: Client, visits: Visits) -> None:
    async with running_proxies(2) as proxies:
        for proxy in proxies:
            settings = {
                "server": f"http://127.0.0.1:{proxy.port}",
                "username": proxy.username,
                "password": proxy.password,
            }
            served = proxy.served
            assert (await visit(user, visits, "a", proxy=settings))["status"] == "completed"
            assert proxy.served > served


async def test_session_as_old_as_its_last_task_allows_ends_by_itself(
    user: Client, visits: Visits
) -> None:
    url = str(visits.server.make_url("/"))
    # It is that old 9 s after it began; its page may take half of that on a busy machine.
    body = {"cmd": "request.get", "url": url, "session": "short", "session_ttl_minutes": 0.15}
    async with aiohttp.request("POST", f"{user.url}/v1", json=body) as response:
        assert response.status == 200
    assert await names(user) == ["short"]
    await until_none(user)


async def test_page_that_does_not_want_to_go_is_gone_for_the_next_task(
    user: Client, visits: Visits, hard: TestServer
) -> None:
    visited = number(await visit(user, visits, "a"))
    for page in ("alerts", "spin-later", "reload", "leave", "drip"):
        url = str(hard.make_url(f"/{page}"))
        view = await user.solve(url=url, success_text="never", timeout=3, session="a")
        assert view["data"]["timeout_reached"] is True, page
        seen = await visit(user, visits, "a")
        visited += 1
        assert number(seen) == visited, page
        assert seen["data"]["url"] == str(visits.server.make_url("/")), page
