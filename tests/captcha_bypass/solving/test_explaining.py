"""Pages that never pass say why, each its own reason: in the real browser."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any, get_args

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from captcha_bypass.challenges import VENDORS
from captcha_bypass.solving.explaining import MESSAGES, SOURCE_BYTES, closest
from captcha_bypass.wire.results import HintCode
from tests.support.service import Service
from tests.support.solve_client import Client, Json

TEXT = "Welcome home"
#: Seconds: enough for such pages, and so on a machine that is busy.
TIMEOUTS = (1.2, 4.0, 12.0)

PAGES = {
    "case": f"<style>h1 {{text-transform: uppercase}}</style><h1>{TEXT}</h1>",
    "hidden": f"<p hidden>Welcome <b>home</b></p><p alt='{TEXT}'>open",
    "attribute": f"<input placeholder='{TEXT}'>",
    "script": f"<script>const text = '{TEXT}'</script>open",
    "source": "<p id=gone>Welcome&#32;<b>home</b></p><script>gone.remove()</script>open",
    "frame": "<iframe src='http://127.0.0.1:{refused}/'></iframe><script src='/missing'></script>",
    "selector": "<div id=done style='visibility: hidden'>done</div>open",
    "widget": "<div class='cf-turnstile'></div>open",
    "closed": "open",
    # A site's words in a log line would look so.
    "loud": f"<title>x\nERROR task ended</title><p hidden>{TEXT}\nERROR task ended</p>open",
}
#: Answered with 403.
REFUSALS = {
    "human": "<form><div class='h-captcha'></div></form>",
    "automatic": "<title>Just a moment...</title>",
    "both": "<title>Just a moment...</title><div class='cf-turnstile'></div>",
    "block": "error code: 1020",
}
#: What is told of each: hints and their texts, kind, failed requests.
TOLD: Mapping[str, tuple[list[tuple[str, str | None]], str | None, dict[str, int]]] = {
    "case": ([("text_other_case", TEXT)], None, {}),
    "hidden": ([("text_hidden", TEXT)], None, {}),
    "attribute": ([("text_in_attribute", TEXT)], None, {}),
    "script": ([("text_in_script", TEXT)], None, {}),
    "source": ([("text_in_source", TEXT)], None, {}),
    "frame": ([("frame_unreadable", None)], None, {"blocked_address": 1, "http_404": 1}),
    "selector": ([("selector_hidden", "#done")], None, {}),
    "widget": ([("captcha_widget", None)], None, {}),
    "closed": ([], None, {}),
    "loud": ([("text_hidden", TEXT)], None, {}),
    "human": ([("captcha_widget", None)], "human", {}),
    "automatic": ([], "automatic", {}),
    "both": ([("captcha_widget", None)], "human", {}),
    "block": ([], "block", {}),
}


@pytest.fixture
async def pages() -> AsyncIterator[TestServer]:
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        port = str(refusing.getsockname()[1])

        async def page(request: web.Request) -> web.Response:
            name = request.match_info["name"]
            if name in REFUSALS:
                return web.Response(text=REFUSALS[name], status=403, content_type="text/html")
            if name not in PAGES:
                raise web.HTTPNotFound
            text = PAGES[name].replace("{refused}", port)
            return web.Response(text=text, content_type="text/html")

        app = web.Application()
        app.add_routes([web.get("/{name}", page)])
        server = TestServer(app)
        async with server:
            yield server


async def told(client: Client, pages: TestServer, name: str) -> dict[str, Any]:
    """Return what a page's result says, asked again with more time where it is not there or says something else."""
    by = "success_selector" if name == "selector" else "success_text"
    wanted = {by: ["#done", "#other"] if name == "selector" else ["No such text", TEXT]}
    data: dict[str, Any] = {}
    for timeout in TIMEOUTS:
        url = str(pages.make_url(f"/{name}"))
        view = await client.solve(url=url, timeout=timeout, **wanted)
        if (view["error"] or {}).get("code") == "browser_unavailable":
            continue  # others' pages took all of so short a time
        assert view["status"] == "completed", view
        data = view["data"]
        hints = [(hint["code"], hint["value"]) for hint in data["hints"]]
        says = hints, data["challenge_kind"], data["failed_requests"]
        if says == TOLD[name] and data["status_code"] is not None:
            break
    assert data, "no browser had the time"
    return data


@pytest.mark.browser
@pytest.mark.timeout(240)  # where the machine is so busy that all are asked again
async def test_each_reason_is_told(client: Client, service: Service, pages: TestServer) -> None:
    before = len(service.log)
    found = await asyncio.gather(*(told(client, pages, name) for name in TOLD))
    for name, data in zip(TOLD, found, strict=True):
        hints = [(hint["code"], hint["value"]) for hint in data["hints"]]
        assert (hints, data["challenge_kind"], data["failed_requests"]) == TOLD[name], name
        assert data["timeout_reached"] is True
        wanted = "success_selector" if name == "selector" else "success_text"
        assert data["unmet"] == [wanted], name
        assert all(hint["message"] == MESSAGES[hint["code"]] for hint in data["hints"])
    lines = [line for line in service.log[before:].splitlines() if "task ended" in line]
    hints_of = "|".join(get_args(HintCode))
    line = re.compile(
        r"\S+ \S+ INFO +task ended task_id=\S+ host=127\.0\.0\.1 outcome=timeout status=(200|403)"
        rf"( vendor=({'|'.join(VENDORS)}) kind=(automatic|human|block))?"
        rf" unmet=success_(text|selector)( hints=(({hints_of}),?)+)? seconds=[\d.]+"
    )
    ended = [entry for entry in lines if "outcome=timeout status=" in entry]
    assert len(ended) >= len(TOLD)
    assert [entry for entry in ended if not line.fullmatch(entry)] == []
    assert not any(entry.startswith("ERROR") for entry in lines)


def shows_text(view: Json) -> bool:
    """Whether a task had the time to see the page's text."""
    return view["error"] is None and "success_text" not in view["data"]["unmet"]


@pytest.mark.browser
async def test_any_item_of_a_list_is_enough_and_all_conditions_must_hold(
    client: Client, hard: TestServer
) -> None:
    url = str(hard.make_url("/selector"))
    texts, selectors = ["absent", "y"], ["#absent", ".yes"]
    both, half = await asyncio.gather(
        client.solved(url=url, timeout=20, success_text=texts, success_selector=selectors),
        client.unfinished(
            2, shows_text, url=url, success_text=texts, success_selector=["#absent", "#no"]
        ),
    )
    half = half["data"]
    assert (both["timeout_reached"], both["unmet"], both["hints"]) == (False, [], [])
    assert (half["timeout_reached"], half["unmet"]) == (True, ["success_selector"])


@pytest.mark.browser
async def test_item_that_is_no_selector_is_named(client: Client, hard: TestServer) -> None:
    url = str(hard.make_url("/selector"))
    view = await client.solve(url=url, success_selector=["#absent", "div[["], timeout=20)
    assert view["error"]["code"] == "invalid_request"
    assert view["error"]["message"].startswith("success_selector.1: ")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>Welcome <b>home</b></p>", TEXT),
        ("<p>Welcome&nbsp;home", TEXT),
        ("<p>Welcome&#32;&#x68;ome", TEXT),
        ("<meta content='Welcome home'>", TEXT),
        ("Welcome\n\n home", TEXT),
        ("<p>Tom &amp; Anna", "Tom & Anna"),
    ],
)
def test_text_is_found_in_the_source(source: str, text: str) -> None:
    assert closest((text,), [], source) == {text: "text_in_source"}


HOSTILE = {
    "nothing": "",
    "other case": "<p>welcome home",
    "apart": "<p>Welcome<p>home",
    "number": "&#" + "9" * SOURCE_BYTES + ";",
    "brackets": "<" * SOURCE_BYTES,
    "ampersands": "&" * SOURCE_BYTES,
    "tags in entities": "<a&#38;" * (SOURCE_BYTES // 7),
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_such_text_is_not_found_however_hostile(source: str) -> None:
    assert closest((TEXT, *["x y"] * 15), [], source) == {}


def test_closest_of_all_frames_counts() -> None:
    frames: list[Any] = [{"texts": ["text_in_script", None]}, {"texts": ["text_hidden", None]}]
    assert closest(("a", "b"), frames, "b") == {"a": "text_hidden", "b": "text_in_source"}
