"""A challenge that only a person passes: the task waits for one beside the workers, and not for ever."""

from __future__ import annotations

import asyncio
import base64
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import psutil
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer

from captcha_bypass.browsers.pool import KILL_GRACE
from tests.support.human_service import PASSED, PersonsSite, run_human_service
from tests.support.scripted_queue import until
from tests.support.service import Service
from tests.support.solve_client import Client, Json, client_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
#: Seconds that the service waits for a person: longer than it takes to open two pages that wait, and to
#: have a third task end by its own time, on a machine that is busy.
PATIENCE = 20.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[tuple[PersonsSite, str]]:
    site = PersonsSite()
    async with TestServer(site.app, handler_cancellation=True) as server:
        yield site, str(server.make_url("/"))


@pytest.fixture(scope="module")
def service(
    served: tuple[PersonsSite, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    flags = ["--workers", "1", "--max-waiting-pages", "2", "--human-timeout", str(PATIENCE)]
    flags += ["--human-webhook", f"{served[1]}hook?token=a-secret", "--shutdown-timeout", "0.5"]
    with run_human_service(Path(tmp_path_factory.mktemp("human")), *flags) as running:
        yield running
        assert "Traceback" not in running.log
        assert "a-secret" not in running.log


class Stage:
    """A client, and a site that a person passes."""

    def __init__(self, client: Client, site: PersonsSite, url: str) -> None:
        self.client = client
        self.site = site
        self.url = url

    async def submit(self, page: str, timeout: float = 10) -> str:
        return await self.client.submit(
            url=self.url + page, success_text=PASSED, timeout=timeout, on_challenge="wait"
        )

    async def waiting(self, page: str) -> str:
        """Submit a task, and return once it waits for a person."""
        task_id = await self.submit(page)
        await self.client.until_waiting_for_human(task_id)
        return task_id

    async def ended(self, task_id: str) -> Json:
        async with asyncio.timeout(30):
            view = await self.client.result(task_id, wait=30)
        assert view["status"] in ("completed", "error")
        return view

    async def ends(self) -> dict[str, float]:
        """Count the waits that have ended, by outcome."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.client.url}/metrics") as answer,
        ):
            lines = (await answer.text()).splitlines()
        name = 'captcha_bypass_human_waits_total{outcome="'
        found = [line.removeprefix(name) for line in lines if line.startswith(name)]
        return {line.split('"')[0]: float(line.split()[-1]) for line in found}

    @asynccontextmanager
    async def watching(self, task_id: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Watch a page, as the dashboard does."""
        url = f"{self.client.url}/dashboard/api/tasks/{task_id}/live"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
            yield ws


@pytest_asyncio.fixture(loop_scope="module")
async def stage(service: Service, served: tuple[PersonsSite, str]) -> AsyncIterator[Stage]:
    async with client_of(service) as client:
        await client.until_warm()
        yield Stage(client, *served)


async def message(ws: aiohttp.ClientWebSocketResponse, kind: str, **fields: object) -> Json:
    """Return the next message of a type with these fields; all pictures on the way are drawn."""
    async with asyncio.timeout(20):
        while True:
            got = await ws.receive()
            if got.type is aiohttp.WSMsgType.BINARY:
                with suppress(ConnectionError):  # the service has said all, and hung up
                    await ws.send_json({"type": "ack"})
                continue
            found: Json = got.json()
            if found["type"] == kind and fields.items() <= found.items():
                return found


async def test_a_task_that_waits_for_a_person_has_no_worker_and_ends_when_one_passes_it(
    stage: Stage, service: Service
) -> None:
    task_id = await stage.waiting("page/a")
    await until(lambda: bool(stage.site.hooked))
    message = dict(stage.site.hooked[0])
    link = f"{service.url}/dashboard#/task/{task_id}"
    assert message.pop("until") > 0
    assert message == {"event": "waiting_for_human", "task_id": task_id, "link": link} | {
        "host": "127.0.0.1",
        "vendor": "aws-waf",
    }
    assert f"a person is needed task_id={task_id} host=127.0.0.1 vendor=aws-waf link={link}" in (
        service.log
    )
    assert (await stage.client.result(task_id))["link"] == link
    _, health = await stage.client.health()
    assert (health["waiting_for_human"], health["running"]) == (1, 0)

    stage.site.pass_("b")
    other = await stage.ended(await stage.submit("page/b"))  # by the only worker there is
    assert other["data"]["timeout_reached"] is False

    poll = asyncio.create_task(stage.client.result(task_id, wait=30))
    stage.site.pass_("a")
    data = (await poll)["data"]
    assert PASSED in data["html"]
    assert (data["timeout_reached"], data["solved"]) == (False, "aws-waf")
    assert (data["challenge_kind"], data["hints"]) == ("human", [])
    assert (await stage.client.health())[1]["waiting_for_human"] == 0
    assert (await stage.ends())["solved"] == 1


async def test_a_request_through_the_browser_waits_for_the_person_too(stage: Stage) -> None:
    url = f"{stage.client.url}/fetch"
    told = len(stage.site.hooked)
    asked = {"url": f"{stage.url}page/fetched", "timeout": 10, "on_challenge": "wait"}
    async with aiohttp.ClientSession() as session:
        answer = asyncio.create_task(session.post(url, json=asked))
        await until(lambda: len(stage.site.hooked) > told)
        stage.site.pass_("fetched")
        fetched = await (await answer).json()
    assert (fetched["status"], fetched["solved"]) == (200, "aws-waf")
    assert PASSED in base64.b64decode(fetched["body"]).decode()


async def test_a_person_passes_it_by_a_click_through_the_dashboard(
    stage: Stage, service: Service
) -> None:
    task_id = await stage.waiting("click/clicked")
    async with stage.watching(task_id) as ws, stage.watching(task_id) as other:
        state = await message(ws, "state", watchers=2)
        if state["width"] is None:  # no picture was taken yet
            await message(ws, "state", watchers=2, control="free")
        await ws.send_json({"type": "control"})
        state = await message(ws, "state", control="you")
        assert state["width"] > 340
        for action in ("move", "down", "up"):
            await ws.send_json({"type": "mouse", "action": action, "x": 320, "y": 220})
        for watcher in (ws, other):
            assert (await message(watcher, "ended"))["outcome"] == "completed"
    data = (await stage.ended(task_id))["data"]
    assert (data["timeout_reached"], data["solved"]) == (False, "aws-waf")
    fields = f"task_id={task_id} client=127.0.0.1"
    assert f"control of a page was taken {fields} who=local" in service.log
    assert re.search(rf"was given back {fields} seconds=[0-9.]+ who=local", service.log)


async def test_once_the_time_is_up_the_task_has_ended_and_its_page_is_gone(stage: Stage) -> None:
    tasks = {"calm": await stage.waiting("page/calm"), "busy": await stage.waiting("busy/busy")}
    late = await stage.ended(await stage.submit("page/late", timeout=8))
    assert late["data"]["hints"][0]["code"] == "no_human_room"

    data = {name: (await stage.ended(task_id))["data"] for name, task_id in tasks.items()}
    for name in tasks:
        assert data[name]["timeout_reached"] is True
        assert data[name]["unmet"] == ["success_text"]
    assert data["calm"]["hints"][0]["code"] == "human_timeout"
    assert (data["calm"]["challenge"], data["calm"]["challenge_kind"]) == ("aws-waf", "human")
    await until(lambda: set(stage.site.gone) >= {"calm", "busy"})
    due = {message["task_id"]: message["until"] for message in stage.site.hooked}
    for name, task_id in tasks.items():
        # Two seconds are promised, which a machine may be too busy for; without a person it is more
        # than that grace.
        assert stage.site.gone[name] - due[task_id] < KILL_GRACE
    ends = await stage.ends()
    assert (ends["timeout"], ends["no_room"]) == (2, 1)


async def test_one_that_waits_is_cancelled_or_lost_like_one_that_runs(
    stage: Stage, service: Service
) -> None:
    first, second = await stage.waiting("page/first"), await stage.waiting("page/second")
    assert (await stage.client.delete(first))[0] == 200
    assert (await stage.client.result(first))["status"] == "not_found"
    await until(lambda: "first" in stage.site.gone)
    assert (await stage.client.result(second))["status"] == "waiting_for_human"
    third = await stage.waiting("page/third")
    async with stage.watching(second) as ws:
        await message(ws, "state", control="free")
        for process in service.browsers():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        assert (await message(ws, "ended"))["outcome"] == "browser_crashed"
    for task_id in (second, third):  # which do not start again, as others do
        error = (await stage.ended(task_id))["error"]
        assert error["code"] == "browser_crashed"
        assert "waited for a person" in error["message"]
    ends = await stage.ends()
    assert (ends["cancelled"], ends["failed"]) == (1, 2)


async def test_the_end_of_the_service_ends_it_and_says_so(stage: Stage, service: Service) -> None:
    """It is the last one here: the service ends with it."""
    task_id = await stage.waiting("page/last")
    poll = asyncio.create_task(stage.client.result(task_id, wait=30))
    async with stage.watching(task_id) as ws:
        await message(ws, "state", control="free")
        service.signal(signal.SIGTERM)
        assert (await poll)["error"]["code"] == "shutting_down"
        assert (await message(ws, "ended"))["outcome"] == "shutting_down"
    assert await asyncio.to_thread(service.process.wait, 20) == 0
