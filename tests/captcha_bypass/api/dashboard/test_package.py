"""Connections that stay open: the door bounds those that say nothing, and these may."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from captcha_bypass.api import connection
from captcha_bypass.api.dashboard import feed
from tests.support.dashboard_service import Events, serving
from tests.support.native_tasks import SOLUTION
from tests.support.scripted_queue import until
from tests.support.waiting_pages import WaitingTasks, jpeg


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_SECONDS", "IDLE_SECONDS", "STALL_SECONDS"):
        monkeypatch.setattr(connection, name, 0.2)
    monkeypatch.setattr(feed, "BATCH_SECONDS", 0.05)
    monkeypatch.setattr(feed, "STATUS_SECONDS", 60.0)


async def test_page_that_has_nothing_to_be_told_is_not_cut_off() -> None:
    async with (
        serving() as dashboard,
        dashboard.through_the_door() as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/dashboard/api/events") as response,
    ):
        events = Events(response)
        for _ in range(3):
            await events.next()
        await asyncio.sleep(0.6)
        dashboard.history.submitted("task", {"url": "http://host.test/"}, "")
        dashboard.history.started("task", {}, "", 0.0)
        dashboard.history.ended("task", {"data": SOLUTION})
        assert [task["id"] for task in (await events.of("tasks"))["tasks"]] == ["task"]


async def test_websocket_on_which_nothing_is_said_is_not_cut_off() -> None:
    tasks = WaitingTasks()
    async with (
        serving(tasks) as dashboard,
        dashboard.through_the_door() as url,
        aiohttp.ClientSession() as session,
    ):
        task_id = await dashboard.submit()
        await until(lambda: tasks.waits.get(task_id) is not None)
        path = f"{url}/dashboard/api/tasks/{task_id}/live"
        async with session.ws_connect(path) as ws, asyncio.timeout(10):
            while (await ws.receive()).type is not aiohttp.WSMsgType.BINARY:
                pass
            await asyncio.sleep(0.6)
            tasks.pages[task_id].show("second")
            await ws.send_json({"type": "ack"})
            while (message := await ws.receive()).type is not aiohttp.WSMsgType.BINARY:
                pass
            assert message.data == jpeg("second")
