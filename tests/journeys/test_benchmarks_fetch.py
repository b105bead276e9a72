"""The benchmarks of fetches measure what they say."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks.adapters import Solve, Solved
from benchmarks.fetch_report import BARE, FETCH, PAGE, Turn, fetch_rows, fetch_table, own_seconds
from benchmarks.fetchers import SESSIONS, by_fetch, by_page
from benchmarks.report import Timed
from demo.challenge_pages import SUCCESS_TEXT
from tests.support.repository import ROOT


def turn(contestant: str, number: int = 1, **more: Any) -> Turn:  # noqa: ANN401 - fields
    fields: dict[str, Any] = {
        "at_once": 4,
        "wall": 2.0,
        "fetches": [Timed(0.010, None), Timed(0.030, None)],
        "cpu": {"python": 0.02, "driver": 0.01, "browser": 0.04, "all": 0.07},
        "peak_pss": 100_000_000,
        "others": 0.5,
    }
    return Turn(contestant=contestant, round=number, **(fields | more))


def test_row_has_the_cpu_of_each_part_for_a_fetch_and_the_ratio_to_pages() -> None:
    page = turn(PAGE, fetches=[Timed(1.0, None)], wall=2.0)
    (fetch, _) = fetch_rows([turn(FETCH), page])
    assert (fetch.per_second, fetch.ratio_page) == (1.0, 2.0)
    assert (fetch.p50, fetch.failed) == (20.0, 0)
    assert {part: round(ms or 0, 3) for part, ms in fetch.cpu.items()} == {
        "python": 10.0,
        "driver": 5.0,
        "browser": 20.0,
        "all": 35.0,
    }
    assert (
        "| /fetch | 4 | 0 of 2 | 1.0 | 20.0 | 29.0 | - | 10.0 | 5.0 | 20.0 | 35.0 | 100 | 2.0 |"
        in (fetch_table([fetch]))
    )


def test_what_failed_counts_for_nothing_but_its_time() -> None:
    failed = [Timed(0.01, "403"), Timed(0.01, None), Timed(0.01, "403")]
    (row,) = fetch_rows([turn(FETCH, fetches=failed, wall=0.5, cpu=None, peak_pss=None)])
    assert (row.failed, row.fetches, row.per_second) == (2, 3, 2.0)
    assert set(row.cpu.values()) == {None}


def test_overhead_is_what_the_service_had_and_the_page_did_not() -> None:
    lines = [
        "Traceback",
        '{"message": "fetch ended", "seconds": 0.030, "page_seconds": 0.020}',
        '{"message": "fetch ended", "seconds": 9.0, "outcome": "timeout"}',
        '{"message": "task ended", "seconds": 9.0}',
        '{"message": "fetch ended", "seconds": 0.024, "page_seconds": 0.020}',
    ]
    own = own_seconds("\n".join(lines))
    assert own == pytest.approx([0.010, 0.004])
    (row,) = fetch_rows([turn(FETCH, own=own)])
    assert row.own_p50 == pytest.approx(7.0)


async def asked(app: web.Application, adapter: Any, *urls: str) -> list[Solved]:  # noqa: ANN401
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        solve: Solve = adapter(http, str(server.make_url("")).rstrip("/"))
        return await asyncio.gather(*(solve(url) for url in urls))


@pytest.mark.parametrize(
    ("status", "page", "failed"),
    [(200, SUCCESS_TEXT, False), (403, SUCCESS_TEXT, True), (200, "Just a moment...", True)],
)
async def test_fetch_adapter_looks_at_the_page(status: int, page: str, failed: bool) -> None:
    async def fetch(request: web.Request) -> web.Response:
        assert (await request.json())["url"] == "http://site/page/1"
        body = base64.b64encode(page.encode()).decode()
        return web.json_response({"status": status, "body": body, "elapsed": 0.1})

    app = web.Application()
    app.router.add_post("/fetch", fetch)
    (solved,) = await asked(app, by_fetch, "http://site/page/1")
    assert (solved.error is not None) is failed


async def test_pages_are_opened_in_few_sessions_one_at_a_time_in_each() -> None:
    busy: set[str] = set()
    names: dict[str, str] = {}

    async def solve(request: web.Request) -> web.Response:
        name = (await request.json())["session"]
        assert name not in busy
        busy.add(name)
        names[str(len(names))] = name
        return web.json_response({"task_id": str(len(names) - 1)}, status=202)

    async def result(request: web.Request) -> web.Response:
        await asyncio.sleep(0.01)
        busy.remove(names[request.match_info["id"]])
        data = {"html": SUCCESS_TEXT, "elapsed": 0.01}
        return web.json_response({"status": "completed", "data": data})

    app = web.Application()
    app.router.add_post("/solve", solve)
    app.router.add_get("/result/{id}", result)
    solved = await asked(app, by_page, *("http://site/1" for _ in range(3 * SESSIONS)))
    assert {item.error for item in solved} == {None}
    assert len(set(names.values())) == SESSIONS


@pytest.mark.soak
@pytest.mark.browser
@pytest.mark.timeout(300)
def test_a_small_run_from_end_to_end(tmp_path: Path) -> None:
    options = "--at-once 2 --rounds 1 --seconds 1 --work 0.05 --pages 20 --long 40 --json"
    file = tmp_path / "out.json"
    command = [sys.executable, "-m", "benchmarks.fetch_cost", *options.split(), str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(file.read_text())
    rows = {row["contestant"]: row for row in told["rows"]}
    assert set(rows) == {FETCH, PAGE, BARE}
    for part in ("python", "driver", "browser"):
        assert 0 < rows[FETCH]["cpu"][part] < rows[PAGE]["cpu"]["all"]
    assert 0 < rows[FETCH]["own_p50"] < rows[FETCH]["p50"]
    assert rows[PAGE]["per_second"] < rows[FETCH]["per_second"] < rows[BARE]["per_second"]
    assert [item["fetches"] for item in told["growth"]] == list(range(0, 41, 2))
    assert min(told["large"].values()) > 0
    assert min(told["crawls"].values()) > 0
