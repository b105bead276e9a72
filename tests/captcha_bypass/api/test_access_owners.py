"""With several API keys each has its own tasks, results and sessions; without, all share them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from captcha_bypass.wire.task import Task
from tests.support.flaresolverr_service import V1, FakeSessions, Json, serving
from tests.support.native_tasks import BASE, SOLUTION
from tests.support.scripted_queue import Script, until

A, B = "CANARY-key-a", "CANARY-key-b"


@dataclass
class User:
    """Somebody with a key."""

    v1: V1
    key: str

    async def ask(self, method: str, path: str | URL, **more: Any) -> tuple[int, Json]:  # noqa: ANN401
        headers = {"X-API-Key": self.key}
        async with self.v1.client.request(method, path, headers=headers, **more) as response:
            return response.status, await response.json()

    async def solve(self, **fields: object) -> str:
        status, answer = await self.ask("POST", "/solve", json={**BASE, **fields})
        assert status == 202, answer
        task_id: str = answer["task_id"]
        return task_id

    async def command(self, **fields: object) -> Json:
        return (await self.ask("POST", "/v1", json=fields))[1]

    async def sessions(self) -> list[str]:
        found: list[str] = (await self.ask("GET", "/sessions"))[1]["sessions"]
        assert (await self.command(cmd="sessions.list"))["sessions"] == found
        return found


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def v1(script: Script) -> AsyncIterator[V1]:
    async with serving(script, FakeSessions(), api_key=(A, B)) as v1:
        yield v1


@pytest.mark.parametrize("state", ["running", "completed"])
async def test_task_of_another_key_does_not_exist(v1: V1, script: Script, state: str) -> None:
    a, b = User(v1, A), User(v1, B)
    task = await a.solve()
    await until(lambda: task in script.running)
    if state == "completed":
        script.end(task, {"data": SOLUTION})
        found = (await a.ask("GET", f"/result/{task}?wait=10"))[1]["data"]
        assert {**found, "clearance": None} == SOLUTION
    for method, path in [
        ("GET", "/result/{}"),
        ("GET", "/result/{}?wait=5"),
        ("DELETE", "/task/{}"),
    ]:
        assert await b.ask(method, path.format(task)) == await b.ask(method, path.format("no-task"))
    assert (await a.ask("GET", f"/result/{task}"))[1]["status"] == state
    assert (await a.ask("DELETE", f"/task/{task}"))[0] == 200


async def test_session_of_another_key_does_not_exist(v1: V1) -> None:
    a, b = User(v1, A), User(v1, B)
    await a.command(cmd="sessions.create", session="mine")
    assert (await a.sessions(), await b.sessions()) == (["mine"], [])
    assert (await b.ask("DELETE", "/sessions/mine"))[0] == 404
    destroy = {"cmd": "sessions.destroy", "session": "mine"}
    assert (await b.command(**destroy))["message"] == "Error: The session doesn't exist."
    created = await b.command(cmd="sessions.create", session="mine")
    assert created["message"] == "Session created successfully."
    assert (await a.ask("DELETE", "/sessions/mine"))[0] == 200
    assert (await a.sessions(), await b.sessions()) == ([], ["mine"])


async def test_one_name_under_two_keys_is_two_sessions(v1: V1, script: Script) -> None:
    tasks = [await User(v1, key).solve(session="mine") for key in (A, B)]
    # One line for both would let only the first run.
    await until(lambda: set(tasks) <= script.running)
    keys = [Task.model_validate(script.payloads[task]).session_key for task in tasks]
    assert [key and key.name for key in keys] == ["mine", "mine"]
    assert keys[0] != keys[1]
    assert "CANARY" not in str(keys)


async def test_key_is_the_same_user_however_it_is_sent(v1: V1) -> None:
    a = User(v1, A)
    task = await a.solve()
    bearer = {"Authorization": f"Bearer {A}"}
    async with v1.client.get(f"/result/{task}", headers=bearer) as response:
        assert response.status == 200
    await a.command(cmd="sessions.create", session="mine")
    async with v1.client.post(f"/v1?key={A}", json={"cmd": "sessions.list"}) as response:
        assert (await response.json())["sessions"] == ["mine"]


async def test_without_keys_all_share_tasks_and_sessions(script: Script) -> None:
    async with serving(script, FakeSessions()) as v1:
        one, other = User(v1, "whatever"), User(v1, "")
        task = await one.solve(session="ours")
        assert (await other.ask("GET", f"/result/{task}"))[0] == 200
        await one.command(cmd="sessions.create", session="ours")
        assert await other.sessions() == ["ours"]


@pytest.mark.parametrize(
    "name", ["{6F9619FF-8B86}", "a{b", "a}b", "{}", "a b", "a/b", "ü", "%7B", "{x:.*}"]
)
async def test_session_of_any_name_can_be_ended_by_its_path(script: Script, name: str) -> None:
    async with serving(script, FakeSessions()) as v1:
        user = User(v1, "")
        await user.command(cmd="sessions.create", session=name)
        assert await user.sessions() == [name]
        path = URL.build(path="/sessions/" + quote(name, safe=""), encoded=True)
        assert (await user.ask("DELETE", path))[0] == 200
        assert await user.sessions() == []
