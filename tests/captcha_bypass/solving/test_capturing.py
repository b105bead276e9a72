"""What is kept of the pages of unfinished and failed tasks: in the real browser."""

from __future__ import annotations

import asyncio
import base64
import struct
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.hard_site import create_hard_site
from tests.support.service import Service, run_service
from tests.support.solve_client import PATIENCE, Client, Json, client_of

pytestmark = pytest.mark.browser

KEPT = 3
CANARY = "canary words of the page"
PAGES = {
    "late": f"<body style='background:#c00'><h1>{CANARY}</h1>",
    "tall": "<div style='height:10000px;width:9000px;background:linear-gradient(red,blue)'>tall</div>",
    "fonts": "<style>@font-face{font-family:f;src:url(/font)} p{font-family:f}</style><p>words",
}


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    flags = ("--workers", "2", "--keep-evidence", str(KEPT), "--max-html-bytes", "200000")
    folder = tmp_path_factory.mktemp("keeping")
    with run_service(folder, *flags, "--log-level", "debug") as service:
        yield service


@pytest.fixture
async def client(keeping: Service) -> AsyncIterator[Client]:
    async with client_of(keeping) as client:
        await client.until_warm()
        yield client


@pytest.fixture
async def pages() -> AsyncIterator[TestServer]:
    app = web.Application()
    over = asyncio.Event()

    async def page(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name == "font":
            await over.wait()
        if name == "slow":
            response = web.StreamResponse(headers={"Content-Type": "text/html"})
            await response.prepare(request)
            for _ in range(300):  # so that what it has is not known before it has come
                await response.write(b"<p>" + b"x" * 1000 + b"</p>")
            return response
        return web.Response(text="<!doctype html>" + PAGES.get(name, ""), content_type="text/html")

    app.router.add_get("/{name}", page)
    server = TestServer(app)
    async with server:
        yield server
        over.set()


async def evidence(client: Client, task_id: str) -> tuple[int, Json]:
    url = f"{client.url}/task/{task_id}/evidence"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.json()


async def left(
    client: Client, url: object, timeout: float = 3, *, pictured: bool = True
) -> tuple[Json, Json]:
    """Return how a task that never gets through ended, and what is kept of it.

    Once more with more time where a busy machine had no page, or no picture of it, in so short a time; or
    one that there should not be, for its script did not spin yet.
    """
    for seconds in (timeout, PATIENCE):
        task_id = await client.submit(url=str(url), success_text="never", timeout=seconds)
        view = await client.finished(task_id)
        status, kept = await evidence(client, task_id)
        if status == 200 and (kept["jpeg"] is not None) is pictured:
            break
    assert status == 200, kept
    return view, kept


def size_of(jpeg: str) -> tuple[int, int]:
    """Return width and height of a JPEG, out of its frame header (ITU T.81, B.2.2)."""
    data, place = base64.b64decode(jpeg), 2
    while not (0xC0 <= data[place + 1] <= 0xC3):
        place += 2 + int(struct.unpack(">H", data[place + 2 : place + 4])[0])
    height, width = struct.unpack(">HH", data[place + 5 : place + 9])
    return width, height


async def test_an_unfinished_task_leaves_its_html_and_a_picture(
    client: Client, keeping: Service, pages: TestServer
) -> None:
    view, kept = await left(client, pages.make_url("/late"))
    assert view["data"]["timeout_reached"]
    assert kept["html"] == view["data"]["html"]
    assert kept["url"] == str(pages.make_url("/late"))
    assert kept["at"] == pytest.approx(time.time(), abs=60)
    width, height = size_of(kept["jpeg"])
    assert min(width, height) > 300
    assert CANARY in kept["html"]
    assert CANARY not in keeping.log


async def test_the_picture_of_a_huge_page_is_what_a_window_shows_of_it(
    client: Client, pages: TestServer
) -> None:
    _, window = await left(client, pages.make_url("/late"))
    _, kept = await left(client, pages.make_url("/tall"))
    assert size_of(kept["jpeg"]) == size_of(window["jpeg"])


async def test_a_failed_task_leaves_what_its_page_shows(client: Client, pages: TestServer) -> None:
    view, kept = await left(client, pages.make_url("/slow"), timeout=10)
    assert view["error"]["code"] == "page_too_large"
    assert kept["html"] is None
    assert size_of(kept["jpeg"])


async def test_a_page_that_spins_leaves_what_can_be_had_in_bounded_time(
    client: Client,
) -> None:
    before = (await client.health())[1]["browsers"]["restarts"]
    async with TestServer(create_hard_site()) as hard:
        view, kept = await left(client, hard.make_url("/spin-later"), pictured=False)
    assert "shown first" in kept["html"]
    assert kept["html"] == view["data"]["html"]
    assert kept["jpeg"] is None
    # It was not waited for until the page's browser had to be killed.
    assert "hang" not in (await client.health())[1]["browsers"]["restarts"].keys() - before.keys()


async def test_a_task_that_completes_or_never_had_a_page_leaves_nothing(
    client: Client, pages: TestServer
) -> None:
    done = await client.submit(url=str(pages.make_url("/late")), success_text=CANARY, timeout=20)
    assert not (await client.finished(done))["data"]["timeout_reached"]
    nowhere = await client.submit(url="http://127.0.0.1:1/", no_challenge=True, timeout=5)
    assert (await client.finished(nowhere))["error"] is not None
    closed = await client.submit(url="http://127.0.0.1:65431/", no_challenge=True, timeout=5)
    assert (await client.finished(closed))["error"] is not None
    for task_id in (done, nowhere, closed):
        status, answer = await evidence(client, task_id)
        assert (status, answer["error"]["code"]) == (404, "no_evidence")


async def test_the_last_tasks_keep_theirs(client: Client, pages: TestServer) -> None:
    tasks: list[str] = []
    while len(tasks) <= KEPT:
        task_id = await client.submit(
            url=str(pages.make_url("/slow")), success_text="x", timeout=20
        )
        assert (await client.finished(task_id))["error"]["code"] == "page_too_large"
        # Nothing but a picture is kept of such a page, and a busy machine may have none in time.
        if (await evidence(client, task_id))[0] == 200:
            tasks.append(task_id)
    statuses = [(await evidence(client, task_id))[0] for task_id in tasks]
    assert statuses == [404] + [200] * KEPT


async def test_a_task_that_is_cancelled_while_its_picture_is_waited_for_ends_at_once(
    client: Client, pages: TestServer
) -> None:
    async with TestServer(create_hard_site()) as hard:
        url = str(hard.make_url("/spin-later"))  # of which there is no picture
        for timeout in (2.0, PATIENCE):  # see `left`
            task_id = await client.submit(url=url, success_text="never", timeout=timeout)
            await client.until_running(task_id)
            await asyncio.sleep(timeout + 0.3)  # its time is up
            if (status := (await client.result(task_id))["status"]) == "running":
                break
        assert status == "running"
        async with asyncio.timeout(4):
            assert (await client.delete(task_id))[0] == 200
    assert (await evidence(client, task_id))[0] == 404
    _, kept = await left(client, pages.make_url("/late"))
    assert size_of(kept["jpeg"])
