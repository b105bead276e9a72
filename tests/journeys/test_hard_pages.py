"""Pages that make browsers hang, swell or die: each ends in time, and the next task is normal."""

from __future__ import annotations

import asyncio
import contextlib
import time

import psutil
import pytest
from aiohttp.test_utils import TestServer

from tests.support.hard_site import SEEN
from tests.support.service import Service, eventually
from tests.support.solve_client import PATIENCE, Client, Json, page_came

pytestmark = pytest.mark.browser


async def ends_once(client: Client, url: str, timeout: float) -> Json:
    """Solve for a text that never comes; the task must end within its timeout + 10 s."""
    started = time.monotonic()
    view = await client.solve(url=url, success_text="never to be seen", timeout=timeout)
    assert time.monotonic() - started < timeout + 10
    return view


async def ends(client: Client, url: str, timeout: float = 2.5) -> Json:
    """Likewise; once more with more time where the page had not come, see Client.unfinished."""
    view = await ends_once(client, url, timeout)
    return view if page_came(view) else await ends_once(client, url, PATIENCE)


async def test_script_that_spins_while_loading_gives_its_source(
    client: Client, hard: TestServer
) -> None:
    view = await ends(client, str(hard.make_url("/spin")))
    assert view["status"] == "completed"
    assert view["data"]["timeout_reached"] is True
    assert view["data"]["status_code"] == 200
    assert "spin source" in view["data"]["html"]


async def test_page_that_replaces_every_function_is_seen_as_it_is(
    client: Client, hard: TestServer
) -> None:
    before = await faults(client)
    url = str(hard.make_url("/liar"))
    for wanted in ({"no_challenge": True}, {"success_text": "true words"}):
        data = await client.solved(url=url, timeout=15, **wanted)
        assert data["timeout_reached"] is False
        assert "<p>true words</p>" in data["html"]
    assert await faults(client) == before


async def faults(client: Client) -> Json:
    """How many browsers were replaced, but for those that others have used up or left a page in.

    A spinning page of the test before may be closing still.
    """
    restarts: Json = (await client.health())[1]["browsers"]["restarts"]
    return {cause: n for cause, n in restarts.items() if cause not in ("tasks", "close")}


async def test_script_that_spins_after_loading_ends_in_time(
    client: Client, hard: TestServer
) -> None:
    view = await ends(client, str(hard.make_url("/spin-later")))
    assert view["data"]["timeout_reached"] is True
    assert "shown first" in view["data"]["html"]


async def test_server_that_never_answers_is_a_timeout_without_a_document(
    client: Client, hard: TestServer
) -> None:
    url = str(hard.make_url("/silent"))
    view = await ends_once(client, url, timeout=4)
    assert view["data"]["timeout_reached"] is True
    assert view["data"]["status_code"] is None
    assert view["data"]["url"] == url
    assert view["data"]["html"] == ""


async def test_page_that_never_stops_loading_gives_what_has_come(
    client: Client, hard: TestServer
) -> None:
    view = await ends(client, str(hard.make_url("/drip")))
    assert view["data"]["timeout_reached"] is True
    assert "first drop" in view["data"]["html"]


async def test_page_that_never_stops_loading_succeeds_on_its_text(
    client: Client, hard: TestServer
) -> None:
    url = str(hard.make_url("/drip"))
    data = await client.solved(url=url, success_text="first drop", timeout=20)
    assert data["timeout_reached"] is False


async def test_page_over_the_limit_is_too_large(client: Client, hard: TestServer) -> None:
    view = await ends(client, str(hard.make_url("/big")), timeout=8)
    assert view["status"] == "error"
    assert view["error"]["code"] == "page_too_large"
    assert "--max-html-bytes" in view["error"]["message"]


async def test_download_is_not_a_page(client: Client, hard: TestServer) -> None:
    view = await ends(client, str(hard.make_url("/download")))
    assert view["error"]["code"] == "not_a_page"


async def test_empty_answer_is_not_a_page(client: Client, hard: TestServer) -> None:
    view = await ends(client, str(hard.make_url("/empty")))
    assert view["error"]["code"] == "not_a_page"


async def test_endless_reload_by_script_ends_with_a_page(client: Client, hard: TestServer) -> None:
    view = await ends(client, str(hard.make_url("/reload")))
    assert view["data"]["timeout_reached"] is True
    assert view["data"]["status_code"] == 200


async def test_alert_storm_ends_in_time(client: Client, hard: TestServer) -> None:
    view = await ends(client, str(hard.make_url("/alerts")))
    assert view["data"]["timeout_reached"] is True


async def test_text_is_found_in_an_alert_storm(client: Client, hard: TestServer) -> None:
    url = str(hard.make_url("/alerts"))
    data = await client.solved(url=url, success_text="alerts", timeout=20)
    assert data["timeout_reached"] is False


async def restarts(client: Client, cause: str) -> int:
    """How many browsers were replaced for a cause."""
    return int((await client.health())[1]["browsers"]["restarts"].get(cause, 0))


async def test_popups_do_not_disturb_the_page_and_the_next_page_that_dies_is_a_crash(
    client: Client, service: Service, hard: TestServer
) -> None:
    before = await restarts(client, "popups")
    url = str(hard.make_url("/popups"))
    view = await ends(client, url)
    if await restarts(client, "popups") == before:  # it had no time to open any
        view = await ends_once(client, url, PATIENCE)
    assert view["data"]["timeout_reached"] is True
    assert view["data"]["url"].endswith("/popups")
    assert await restarts(client, "popups") == before + 1
    hard.app[SEEN].clear()
    url = str(hard.make_url("/on-demand"))
    task = await client.submit(url=url, success_text="never", timeout=30)
    # It is shown, for its script runs.
    assert await eventually(lambda: was_asked_for(hard, "/demanded"), 20)
    for process in service.content_processes():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            process.kill()
    view = await client.finished(task)
    assert view["error"]["code"] == "browser_crashed", view
    url = str(hard.make_url("/plain"))
    data = await client.solved(url=url, success_text="plain", timeout=40)
    assert data["status_code"] == 200


def was_asked_for(hard: TestServer, path: str) -> bool:
    return any(seen == path for seen, _ in hard.app[SEEN])


async def test_nothing_is_left_of_all_these(client: Client, service: Service) -> None:
    """No browser but those that wait for tasks: one, and for a minute what was started for others."""
    await client.until_warm()
    # What was started for others may be closed, and a launch end, while we look.
    for _ in range(200):
        health = (await client.health())[1]
        browsers = health["browsers"]
        waiting = len(browsers["tasks"]) + browsers["starting"]
        left = [p.name for folder in service.folders() for p in folder.glob("playwright_firefox*")]
        if len(service.labels()) == waiting == len(left):
            break
        await asyncio.sleep(0.1)
    assert waiting <= 3
    assert len(service.labels()) == waiting
    assert len(left) == waiting, left
    assert health["running"] == 0
    for broken_promise in ("failed unexpectedly", "broke its promise", "never retrieved"):
        assert broken_promise not in service.log
    assert "looking after the browsers failed" not in service.log
