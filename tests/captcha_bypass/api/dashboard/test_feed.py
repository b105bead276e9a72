"""What the dashboard's pages are told: all that is new, seldom, computed once, and only while asked."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest

from captcha_bypass.api.dashboard import feed
from captcha_bypass.status import BrowserNow, Browsers, Readiness
from captcha_bypass.tasks.base import JsonDict
from tests.support.dashboard_service import A, B, Dashboard, Events, MakeDashboard
from tests.support.native_tasks import SOLUTION
from tests.support.scripted_queue import until


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "BATCH_SECONDS", 0.05)


def submit(dashboard: Dashboard, number: int, owner: str = "") -> None:
    """Let a task begin and end, as far as the history is told of it."""
    task_id = f"task {number}"
    dashboard.history.submitted(task_id, {"url": f"http://host-{number}.test/"}, owner)
    dashboard.history.started(task_id, {}, owner, 0.0)
    dashboard.history.ended(task_id, {"data": SOLUTION})


async def begun(events: Events) -> dict[str, JsonDict]:
    """Return what a page is told first."""
    return dict([await events.next() for _ in range(3)])


async def test_page_is_told_all_at_first_and_then_what_changes(dashboard: Dashboard) -> None:
    submit(dashboard, 1)
    async with dashboard.listening() as events:
        told = await begun(events)
        assert told.keys() == {"status", "tasks", "minutes"}
        assert told["tasks"]["reset"]
        assert [task["id"] for task in told["tasks"]["tasks"]] == ["task 1"]
        assert len(told["minutes"]) == 60
        task_id = await dashboard.submit()
        change = await events.of("tasks")
        assert (change["reset"], change["removed"]) == (False, [])
        assert [task["id"] for task in change["tasks"]] == [task_id]
        dashboard.script.end(task_id, {"data": SOLUTION})
        change = await events.of("tasks")
        assert [task["outcome"] for task in change["tasks"]] == ["completed"]
        assert len(await events.of("minutes")) == feed.LAST_MINUTES


async def until_state(events: Events, state: str) -> JsonDict:
    """Return the next status with that state; those before it may have been sent already."""
    while True:
        status: JsonDict = await events.of("status")
        if status["state"] == state:
            return status


async def test_status_tells_how_the_service_stands(dashboard: Dashboard) -> None:
    browser = BrowserNow(age=5.04, tasks=1, served=3, bytes=2**20, sessions=0)
    dashboard.browsers.numbers = Browsers([3], 0, {"hang": 1}, [2**20], [browser])
    async with dashboard.listening() as events:
        status = await events.of("status")
        assert (status["state"], status["reason"]) == ("ok", None)
        assert status["browser"] == "firefox 140.0"
        assert status["tasks"].keys() == {
            *("queued", "running", "slots", "waiting_for_human", "oldest")
        }
        assert status["browsers"] == [
            {"age": 5.0, "tasks": 1, "served": 3, "bytes": 2**20, "sessions": 0}
        ]
        assert status["egress"]["failures"] == {"dns_error": 2}
        dashboard.browsers.now = Readiness(unavailable="no disk")
        assert (await until_state(events, "unavailable"))["reason"] == "no disk"
        dashboard.browsers.now = Readiness(starting=True)
        await until_state(events, "starting")
        await dashboard.queue.stop(0)
        await until_state(events, "stopping")


async def test_time_alone_is_told_seldom(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BATCH_SECONDS", 0.01)
    monkeypatch.setattr(feed, "STATUS_SECONDS", 3600.0)
    async with dashboard.listening() as events:
        await begun(events)
        telling, looks = asyncio.create_task(events.next()), dashboard.board.asked
        await until(lambda: dashboard.board.asked - looks >= 10)
        assert not telling.done()
        monkeypatch.setattr(feed, "STATUS_SECONDS", 0.0)  # that time is over
        assert (await telling)[0] == "status"


async def test_nothing_is_computed_while_nobody_looks(dashboard: Dashboard) -> None:
    submit(dashboard, 1)
    async with dashboard.listening() as events:
        await begun(events)
    await until(lambda: not feeds_of(dashboard))
    asked = dashboard.board.asked, dashboard.history.listed, dashboard.history.summed
    for number in range(100):
        submit(dashboard, number)
    await asyncio.sleep(0.2)  # four looks
    assert (dashboard.board.asked, dashboard.history.listed, dashboard.history.summed) == asked


def feeds_of(dashboard: Dashboard) -> int:
    """Return how many jobs look."""
    jobs = (task.get_coro() for task in asyncio.all_tasks())
    return sum(getattr(job, "__qualname__", "") == "Feed.run" for job in jobs)


async def test_all_pages_of_an_owner_share_one_computation(dashboard: Dashboard) -> None:
    submit(dashboard, 1)
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(dashboard.listening()) for _ in range(50)]
        for page in pages:
            await begun(page)
        assert feeds_of(dashboard) == 1
        looks, listed = dashboard.board.asked, dashboard.history.listed
        assert listed <= looks + 1
        for round_ in range(5):
            for number in range(20):
                submit(dashboard, 20 * round_ + number + 2)
            told = [await page.of("tasks") for page in pages]
            assert all(change == told[0] for change in told)
            assert len(told[0]["tasks"]) == 20, "one batch for all changes between two looks"
        assert dashboard.history.listed - listed == 5
        assert dashboard.history.summed <= dashboard.board.asked


async def test_page_that_does_not_read_costs_no_queue_and_is_brought_up_to_date(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BATCH_SECONDS", 0.002)
    host, port = dashboard.client.host, dashboard.client.port
    loop = asyncio.get_running_loop()
    with socket.create_connection((host, port)) as slow:
        slow.setblocking(False)
        head = f"GET /dashboard/api/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
        await loop.sock_sendall(slow, head.encode())
        await until(lambda: feeds_of(dashboard) == 1)
        server = dashboard.client.server.handler
        assert server is not None
        (connection,) = (c for c in server.connections if c.transport is not None)
        assert connection.transport is not None
        looks, number, most = dashboard.board.asked, 0, 0
        while not most:  # until nothing more goes out
            submit(dashboard, number)
            number += 1
            await asyncio.sleep(0)
            most = connection.transport.get_write_buffer_size()
        for extra in range(3000):
            submit(dashboard, number + extra)
            if extra % 50 == 0:
                await asyncio.sleep(0.003)
            most = max(most, connection.transport.get_write_buffer_size())
        last = number + 2999
        assert dashboard.board.asked - looks > 50
        assert most < 200_000
        seen, batches = b"", 0
        async with asyncio.timeout(20):
            while f"task {last}".encode() not in seen:
                seen = seen[-100_000:] + (piece := await loop.sock_recv(slow, 65536))
                batches += piece.count(b"event: tasks")
        assert batches < dashboard.board.asked - looks


async def test_page_that_comes_back_is_told_all_again(dashboard: Dashboard) -> None:
    for number in range(3):
        submit(dashboard, number)
    for _ in range(2):
        async with dashboard.listening() as events:
            told = await begun(events)
            assert told["tasks"]["reset"]
            assert len(told["tasks"]["tasks"]) == 3


async def test_tasks_that_are_forgotten_go_from_the_page(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("captcha_bypass.history.ring.MOST_TASKS", 2)
    submit(dashboard, 1)
    async with dashboard.listening() as events:
        await begun(events)
        submit(dashboard, 2)
        submit(dashboard, 3)
        change = await events.of("tasks")
        assert change["removed"] == ["task 1"]
        assert [task["id"] for task in change["tasks"]] == ["task 2", "task 3"]


async def test_each_key_is_told_of_its_own(make_dashboard: MakeDashboard) -> None:
    dashboard = await make_dashboard(api_key=(A, B))
    async with dashboard.listening(X_API_Key=A) as mine, dashboard.listening(X_API_Key=B) as other:
        assert (await begun(mine))["tasks"]["tasks"] == (await begun(other))["tasks"]["tasks"] == []
        task_id = await dashboard.submit(X_API_Key=A)
        assert [task["id"] for task in (await mine.of("tasks"))["tasks"]] == [task_id]
        second = await dashboard.submit(X_API_Key=B)
        assert [task["id"] for task in (await other.of("tasks"))["tasks"]] == [second]


async def test_too_many_pages_are_refused(
    make_dashboard: MakeDashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_LISTENERS", 3)
    dashboard = await make_dashboard(api_key=(A, B))
    async with AsyncExitStack() as stack:
        for key in (A, A, B):
            await stack.enter_async_context(dashboard.listening(X_API_Key=key))
        response = await dashboard.ask("GET", "/dashboard/api/events", X_API_Key=A)
        assert response.status == 503
        assert (await response.json())["error"]["code"] == "too_many_waiting"
    await until(lambda: not feeds_of(dashboard))
    async with dashboard.listening(X_API_Key=A) as events:
        await begun(events)


async def test_logout_ends_what_its_pages_are_told(make_dashboard: MakeDashboard) -> None:
    dashboard = await make_dashboard(api_key=(A,))
    cookie, other = await dashboard.log_in(A), await dashboard.log_in(A)
    async with dashboard.listening(cookie) as events, dashboard.listening(other) as staying:
        await begun(events)
        await begun(staying)
        await dashboard.ask("POST", "/dashboard/logout", cookie, Origin=dashboard.origin)
        with pytest.raises(EOFError):
            await events.next("none of this name")
        await dashboard.submit(X_API_Key=A)
        await staying.of("tasks")


async def test_shutdown_does_not_wait_for_those_who_listen(dashboard: Dashboard) -> None:
    async with dashboard.listening() as events:
        await begun(events)
        await dashboard.app.shutdown()
        with pytest.raises(EOFError):
            await events.next("none of this name")
