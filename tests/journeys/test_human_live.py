"""A person who is not there solves a challenge over the dashboard's WebSocket, as its page does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer

from demo.challenge_pages import SUCCESS_TEXT
from demo.challenge_site import HUMAN, create_site
from demo.human_challenge import LEFT, RADIUS, TOP, WIDTH, HumanChallenge
from tests.support.human_service import run_human_service
from tests.support.scripted_queue import until
from tests.support.service import Service
from tests.support.solve_client import Client, client_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with run_human_service(Path(tmp_path_factory.mktemp("live")), "--workers", "1") as running:
        yield running
        assert "Traceback" not in running.log


class Person:
    """Watches a page that waits, and uses it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.picture = b""  # the last
        self.ended: Any = None
        self.has_control = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                assert message.data.startswith(b"\xff\xd8")
                self.picture = message.data
                await self.say("ack")
                continue
            told = json.loads(message.data)
            # The page may be gone before the task has ended, which is told last.
            assert told["type"] != "error" or told["code"] == "page_gone", told
            if told["type"] == "state" and told["control"] == "you":
                self.has_control.set()
            if told["type"] == "ended":
                self.ended = told

    async def say(self, kind: str, **more: object) -> None:
        await self._socket.send_json({"type": kind, **more})

    async def take_control(self) -> None:
        await self.say("control")
        async with asyncio.timeout(10):
            await self.has_control.wait()

    async def click(self, x: float, y: float) -> None:
        for action in ("move", "down", "up"):
            await self.say("mouse", action=action, x=x, y=y)

    async def until_over(self) -> None:
        async with asyncio.timeout(20):
            await self._reading


class Stage:
    def __init__(self, client: Client, human: HumanChallenge, url: str) -> None:
        self.client = client
        self.human = human
        self.url = url

    async def waiting(self) -> str:
        asked = {"url": self.url, "success_text": SUCCESS_TEXT, "timeout": 20}
        task_id = await self.client.submit(**asked, on_challenge="wait")
        await self.client.until_waiting_for_human(task_id)
        return task_id

    def dot(self) -> tuple[float, float]:
        """Where on the page the dot is that was drawn last."""
        x, y = next(reversed(self.human.puzzles.values())).dots[0]
        return LEFT + 1 + x, TOP + 1 + y


@pytest_asyncio.fixture(loop_scope="module")
async def stage(service: Service) -> AsyncIterator[Stage]:
    app = create_site()
    async with TestServer(app) as server, client_of(service) as client:
        await client.until_warm()
        yield Stage(client, app[HUMAN], str(server.make_url("/human/1")))


@pytest_asyncio.fixture(loop_scope="module")
async def web(service: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(service.url, headers={"Origin": service.url}) as session:
        yield session


async def test_a_person_sees_the_page_and_clicks_until_it_is_through(
    stage: Stage, web: aiohttp.ClientSession
) -> None:
    task_id = await stage.waiting()
    async with web.ws_connect(f"/dashboard/api/tasks/{task_id}/live") as socket:
        person = Person(socket)
        await until(lambda: person.picture != b"")
        await person.take_control()
        shown, seen = set(stage.human.puzzles), person.picture
        x, y = stage.dot()
        # Beside it, where the picture is: the dot may be next to its edge.
        await person.click(x + (2 if x < LEFT + WIDTH / 2 else -2) * RADIUS, y)
        await until(lambda: bool(set(stage.human.puzzles) - shown))
        await until(lambda: person.picture != seen)
        await person.click(*stage.dot())
        await person.until_over()
    assert person.ended["outcome"] == "completed"
    data = (await stage.client.finished(task_id))["data"]
    assert SUCCESS_TEXT in data["html"]
    assert (data["timeout_reached"], data["solved"]) == (False, "aws-waf")
    assert "clearance_human" in {cookie["name"] for cookie in data["cookies"]}


async def test_a_person_who_gives_up_ends_the_task(
    stage: Stage, web: aiohttp.ClientSession
) -> None:
    task_id = await stage.waiting()
    async with web.ws_connect(f"/dashboard/api/tasks/{task_id}/live") as socket:
        person = Person(socket)
        await person.take_control()
        await person.say("leave")
        await person.until_over()
    view = await stage.client.finished(task_id)
    assert view["data"]["timeout_reached"] is True
    assert view["data"]["hints"][0]["code"] == "human_left"
