"""Pages that make browsers hang, swell or die: each ends in time, and the next task is normal."""

from __future__ import annotations

import time

import pytest
from aiohttp.test_utils import TestServer

from tests.support.hard_site import SEEN
from tests.support.service import Client, Json, Service, eventually

pytestmark = pytest.mark.browser


async def ends(client: Client, url: str, timeout: float = 2.5, **more: object) -> Json:
    """Solve for a text that never comes; the task must end within its timeout + 10 s."""
    started = time.monotonic()
    request = {"url": url, "success_text": "never to be seen", "timeout": timeout, **more}
    view = await client.solve(**request)
    assert time.monotonic() - started < timeout + 10
    return view


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
    before = (await client.health())[1]["browsers"]["restarts"]
    url = str(hard.make_url("/liar"))
    for wanted in ({"no_challenge": True}, {"success_text": "true words"}):
        data = await client.solved(url=url, timeout=15, **wanted)
        assert data["timeout_reached"] is False
        assert "<p>true words</p>" in data["html"]
    assert (await client.health())[1]["browsers"]["restarts"] == before


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
    view = await ends(client, url, timeout=2)
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
    view = await ends(client, str(hard.make_url("/popups")))
    assert view["data"]["timeout_reached"] is True
    assert view["data"]["url"].endswith("/popups")
    assert await restarts(client, "popups") == before + 1
    hard.app[SEEN].clear()
    url = str(hard.make_url("/on-demand"))
    task = await client.submit(url=url, success_text="never", timeout=30)
    # It is shown, for its script runs.
    assert await eventually(lambda: was_asked_for(hard, "/demanded"), 20)
    for process in service.content_processes():
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
    browsers = (await client.health())[1]["browsers"]
    waiting = len(browsers["tasks"]) + browsers["starting"]
    assert waiting <= 3
    assert await eventually(lambda: len(service.labels()) == waiting, 10)
    assert (await client.health())[1]["running"] == 0
    left = [p.name for folder in service.folders() for p in folder.glob("playwright_firefox*")]
    assert len(left) == waiting, left
    for broken_promise in ("failed unexpectedly", "broke its promise", "never retrieved"):
        assert broken_promise not in service.log
    assert "looking after the browsers failed" not in service.log
