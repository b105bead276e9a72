"""Warm browsers, shared and replaced: what tasks share, what they never share, and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from captcha_bypass.browsers import janitor
from tests.support import juggler
from tests.support.fake_browsers import LIMITS
from tests.support.fake_service import PAGE, run_fake_service
from tests.support.fire import Gate, assert_result_or, ended, settled
from tests.support.hard_site import SEEN
from tests.support.service import Service, eventually, run_service
from tests.support.solve_client import Client, client_of

pytestmark = pytest.mark.browser

#: Leaves a mark in everything a page can store, and shows the marks it finds and can hear.
DIARY = """<!doctype html><title>diary</title><pre id=out></pre><script>
const mine = new URLSearchParams(location.search).get("mark");
const open = () => new Promise((done, fail) => {
  const asked = indexedDB.open("diary", 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore("marks");
  asked.onsuccess = () => done(asked.result);
  asked.onerror = () => fail(asked.error);
});
const get = (store, key) => new Promise((done) => {
  const asked = store.get(key);
  asked.onsuccess = () => done(asked.result ?? null);
});
(async () => {
  const heard = [];
  const channel = new BroadcastChannel("diary");
  channel.onmessage = ({data}) => heard.push(data);
  const base = await open();
  const found = {
    cookie: document.cookie,
    local: localStorage.getItem("mark"),
    session: sessionStorage.getItem("mark"),
    base: await get(base.transaction("marks").objectStore("marks"), "mark"),
    cache: (await caches.keys()).join(),
    workers: (await navigator.serviceWorker.getRegistrations()).length,
  };
  document.cookie = `mark=${mine}; max-age=3600`;
  localStorage.setItem("mark", mine);
  sessionStorage.setItem("mark", mine);
  base.transaction("marks", "readwrite").objectStore("marks").put(mine, "mark");
  await caches.open(mine);
  await navigator.serviceWorker.register("/worker.js");
  for (let i = 0; i < 10; i++) {
    channel.postMessage(mine);
    await new Promise((done) => setTimeout(done, 100));
  }
  found.heard = heard;
  document.getElementById("out").textContent = "found " + JSON.stringify(found);
})();
</script>"""
NOTHING: dict[str, Any] = {
    "cookie": "",
    "local": None,
    "session": None,
    "base": None,
    "cache": "",
    "workers": 0,
    "heard": [],
}


@pytest.fixture
async def diary() -> AsyncIterator[TestServer]:
    """A site whose page is cached for an hour, and how often it was asked for, by path."""

    async def page(request: web.Request) -> web.Response:
        request.app[SEEN].append((request.path_qs, {}))
        headers = {"Cache-Control": "max-age=3600"}
        return web.Response(text=DIARY, content_type="text/html", headers=headers)

    async def worker(request: web.Request) -> web.Response:
        return web.Response(text="", content_type="text/javascript")

    app = web.Application()
    app[SEEN] = []
    app.add_routes([web.get("/", page), web.get("/worker.js", worker)])
    server = TestServer(app)
    async with server:
        yield server


async def found(client: Client, diary: TestServer, mark: str) -> dict[str, Any]:
    """Open the diary; return what an earlier or simultaneous task left for it."""
    # As localhost, because only a secure context has caches and service workers.
    url = f"http://localhost:{diary.port}/?mark={mark}"
    data = await client.solved(url=url, success_text="found {", timeout=40)
    text = data["html"].split("found ", 1)[1].split("</pre>")[0]
    assert {cookie["value"] for cookie in data["cookies"]} == {mark}
    result: dict[str, Any] = json.loads(text)
    return result


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose three tasks share a browser; a test leaves it with nothing to do."""
    flags = ("--workers", "3", "--shutdown-timeout", "0")
    with run_service(tmp_path_factory.mktemp("sharing"), *flags) as service:
        yield service


@pytest.fixture
async def together(sharing: Service) -> AsyncIterator[Client]:
    async with client_of(sharing) as client:
        await client.until_warm()
        yield client


async def test_tasks_that_share_a_browser_share_nothing_else(
    together: Client, diary: TestServer
) -> None:
    (before,) = (await together.health())[1]["browsers"]["tasks"]
    both = await asyncio.gather(*(found(together, diary, m) for m in ("a", "same")))
    after = await found(together, diary, "same")
    assert (await together.health())[1]["browsers"]["tasks"] == [before + 3]
    assert [*both, after] == [NOTHING] * 3
    assert [path for path, _ in diary.app[SEEN]].count("/?mark=same") == 2, "nor what is cached"


async def test_tasks_at_once_have_content_processes_of_their_own(
    together: Client, sharing: Service
) -> None:
    before = await settled(sharing.content_pids, calm=2)
    async with Gate() as gate:
        tasks = await gate.enter(together, tasks=3, timeout=40)
        # Some of those that were there may end only now.
        assert await eventually(lambda: len(sharing.content_pids() - before) >= 3, 20)
        assert len(sharing.labels()) == 1
        gate.open()
        assert_result_or(frozenset(), await ended(together, tasks, 40))


def cpu_seconds(service: Service) -> dict[int, float]:
    """What each of its processes has used, by process id."""
    used = {}
    for process in service.process_tree():
        with contextlib.suppress(psutil.Error):
            used[process.pid] = sum(process.cpu_times()[:2])
    return used


async def test_idle_service_keeps_one_browser_and_uses_next_to_no_cpu(
    together: Client, sharing: Service, hard: TestServer
) -> None:
    url = str(hard.make_url("/plain"))
    assert await together.solved(url=url, success_text="plain", timeout=30)

    async def spends_little(seconds: float) -> bool:
        before = cpu_seconds(sharing)
        await asyncio.sleep(seconds)
        spent = sum(now - before.get(pid, 0.0) for pid, now in cpu_seconds(sharing).items())
        # A tenth of one CPU is ten times what it is.
        return spent < 0.1 * seconds

    # The last page's processes take a while to end, and Firefox to tidy up.
    for _ in range(15):
        if await spends_little(2.0):
            break
    else:
        raise AssertionError("it never comes to rest")
    assert len(sharing.labels()) == 1


async def test_browser_is_replaced_after_its_number_of_tasks(tmp_path: Path) -> None:
    flags = ("--workers", "1", "--tasks-per-browser", "2", "--log-format", "json")
    with run_fake_service(tmp_path, *flags) as service:
        async with client_of(service) as client:
            for _ in range(5):
                assert await client.solved(**PAGE)
            # The one that was used up last is told of once it has closed.
            assert await eventually(lambda: service.log.count("browser replaced") == 2, 20)
            assert await eventually(lambda: len(service.labels()) <= 2, 10)
            health = (await client.health())[1]["browsers"]
            assert health["restarts"] == {"tasks": 2}
            assert sum(health["tasks"]) == 1
            lines = [json.loads(line) for line in service.log.splitlines()]
    told = [line for line in lines if line["message"] == "browser replaced"]
    assert [(line["cause"], line["tasks"]) for line in told] == [("tasks", 2)] * 2
    assert all(line["seconds"] > 0 for line in told)


@pytest.fixture(scope="module")
def browser_each(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose tasks have a browser of their own each, one at a time."""
    flags = ("--workers", "1", "--tasks-per-browser", "1")
    with run_service(tmp_path_factory.mktemp("each"), *flags) as service:
        yield service


@pytest.fixture
async def alone(browser_each: Service) -> AsyncIterator[Client]:
    """Its one browser waits for a task."""
    async with client_of(browser_each) as client:
        await client.until_warm()
        assert await eventually(lambda: len(browser_each.labels()) == 1, 20)
        yield client


async def test_one_task_per_browser_gives_each_a_fresh_one(
    alone: Client, browser_each: Service, hard: TestServer
) -> None:
    before = (await alone.health())[1]["browsers"]["restarts"].get("tasks", 0)
    (used,) = browser_each.labels()
    url = str(hard.make_url("/plain"))
    assert await alone.solved(url=url, success_text="plain", timeout=30)
    assert await eventually(lambda: used not in browser_each.labels(), 20)
    assert (await alone.health())[1]["browsers"]["restarts"] == {"tasks": before + 1}


@pytest.mark.parametrize("page", ["/plain", "/spin"])
async def test_cancelled_task_takes_the_browser_that_is_its_own_along(
    alone: Client, browser_each: Service, hard: TestServer, page: str
) -> None:
    (own,) = browser_each.labels()
    task = await alone.submit(url=str(hard.make_url(page)), success_text="never", timeout=60)
    assert await eventually(lambda: len(hard.app[SEEN]) > 0, 20)
    # Within two seconds its page is dead, and twice that on a machine that is busy; the browser, which
    # nobody waits for, then has as long to close.
    async with asyncio.timeout(4):
        assert (await alone.delete(task))[0] == 200
    assert await eventually(lambda: own not in browser_each.labels(), 4)


async def test_browser_that_grew_too_large_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "WEIGH_EVERY", 0.1)
    monkeypatch.setattr(janitor, "TEND_EVERY", 0.1)
    # No browser is that small, so the first look finds it too large.
    async with juggler.running(tmp_path, replace(LIMITS, max_browser_bytes=1024**2)) as running:
        assert (await running.solve("ok"))["data"]["html"]
        assert await eventually(lambda: running.pool.counts().restarts == {"memory": 1}, 15)
        assert (await running.solve("ok"))["data"]["html"]
