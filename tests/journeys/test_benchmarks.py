"""The benchmarks measure what they say."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks import api_cost
from benchmarks.adapters import flaresolverr, flaresolverr_session, native
from benchmarks.contestants import Peer, hand_over_seconds
from benchmarks.meter import Meter, ProcessTree, left_behind
from benchmarks.overhead import overheads
from benchmarks.report import Batch, Timed, contest_table, percentile, ratio, rows
from demo.challenge_pages import SUCCESS_TEXT
from tests.support.repository import ROOT
from tests.support.service import eventually


def batch(contestant: str, number: int, *, wall: float = 60, **more: Any) -> Batch:  # noqa: ANN401
    fields: dict[str, Any] = {
        "at_once": 1,
        "solves": [Timed(1.0, None), Timed(3.0, None)],
        "cpu": 4.0,
        "peak_pss": 100,
        "peak_processes": 5,
        "others": 0.5,
    }
    return Batch(contestant=contestant, round=number, wall=wall, **(fields | more))


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1.0), (50, 2.5), (95, 3.85), (100, 4.0), (25, 1.75)]
)
def test_percentile_interpolates(percent: float, expected: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], percent) == pytest.approx(expected)


def test_percentile_of_nothing_and_of_one() -> None:
    assert percentile([], 50) is None
    assert percentile([7.0], 95) == 7.0


def test_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_the_medians() -> None:
    own = [batch("service", 1, wall=60), batch("service", 2, wall=30), batch("service", 3, wall=20)]
    # In solves a minute: 2, 4, 6 against 1, 1, 12; by the medians it would be 4.
    warm = [batch("warm", 3, wall=10), batch("warm", 2, wall=120), batch("warm", 1, wall=120)]
    assert ratio(own, warm, lambda b: b.per_minute) == pytest.approx(2.0)


def test_ratio_leaves_out_rounds_without_a_pair() -> None:
    own = [batch("service", 1, peak_pss=300), batch("service", 2, peak_pss=900)]
    assert ratio(own, [batch("warm", 1, peak_pss=150)], lambda b: b.peak_pss) == 2.0
    assert ratio(own, [batch("warm", 1, peak_pss=None)], lambda b: b.peak_pss) is None
    assert ratio(own, [], lambda b: b.peak_pss) is None


def test_a_failed_solve_counts_as_failed_and_for_nothing_else() -> None:
    (row,) = rows([batch("warm", 1, solves=[Timed(2.0, None), Timed(70.0, "no text")])])
    assert (row.solves, row.failed, row.p95, row.per_minute) == (2, 1, 2.0, 1.0)
    assert row.cpu_per_solve == 4.0


def test_a_contestant_that_solved_nothing_has_a_row() -> None:
    (row,) = rows([batch("peer", 1, solves=[Timed(2.0, "down")], cpu=None, peak_pss=None)])
    assert (row.failed, row.p50, row.per_minute, row.cpu_per_solve) == (1, None, 0.0, None)
    assert "| peer | 1 | 1 of 1 | - | - | 0.0 | - | - | 5 | - | - | - |" in contest_table([row])


def test_rows_keep_numbers_at_once_apart() -> None:
    found = rows([batch("warm", 1), batch("warm", 1, at_once=2, wall=20), batch("cold", 1)])
    assert [(row.contestant, row.at_once, row.per_minute) for row in found] == [
        ("warm", 1, 2.0),
        ("cold", 1, 2.0),
        ("warm", 2, 6.0),
    ]


def test_overhead_is_latency_less_elapsed_plus_the_hand_over() -> None:
    solves = [Timed(1.0, None, "a", 0.7), Timed(1.0, None, "b", 0.9), Timed(9.0, "bad", "c", 0.1)]
    log = 'Traceback\n{"message": "page lent", "task_id": "b", "seconds": 0.004}\n{"message": "x"}'
    (found,) = overheads([batch("service", 1, solves=solves)], "service", hand_over_seconds(log))
    assert (found.solves, found.hand_overs) == (2, 1)
    assert found.p50 == pytest.approx((0.3 + 0.104) / 2)
    assert found.api_p50 == pytest.approx((0.3 + 0.1) / 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=native:http://h:1@42", Peer("a", "native", "http://h:1", 42)),
        ("b=flaresolverr:http://h:1/", Peer("b", "flaresolverr", "http://h:1", None)),
    ],
)
def test_peer_is_parsed(text: str, expected: Peer) -> None:
    assert Peer.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["a", "a=native", "a=x:http://h", "=native:http://h", "a=native:h"]
)
def test_bad_peer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NAME=ADAPTER"):
        Peer.parse(text)


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        ({"status": "ok", "solution": {"response": f"<h1>{SUCCESS_TEXT}</h1>"}}, False),
        ({"status": "ok", "solution": {"response": "Just a moment..."}}, True),
        ({"status": "error", "message": "Timeout"}, True),
    ],
)
async def test_flaresolverr_adapter(answer: dict[str, Any], failed: bool) -> None:
    async def v1(request: web.Request) -> web.Response:
        order = await request.json()
        assert (order["cmd"], order["url"]) == ("request.get", "http://site/page/1")
        return web.json_response(answer)

    app = web.Application()
    app.router.add_post("/v1", v1)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        solved = await flaresolverr(session, str(server.make_url("")).rstrip("/"))(
            "http://site/page/1"
        )
    assert (solved.error is not None) is failed


async def test_session_adapter_has_one_session_for_each_solve_at_once() -> None:
    names: list[str] = []

    async def v1(request: web.Request) -> web.Response:
        names.append((await request.json())["session"])
        await asyncio.sleep(0.01)
        page = f"<h1>{SUCCESS_TEXT}</h1>"
        return web.json_response({"status": "ok", "solution": {"response": page}})

    app = web.Application()
    app.router.add_post("/v1", v1)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        solve = flaresolverr_session(session, str(server.make_url("")).rstrip("/"))
        for _ in range(2):
            await asyncio.gather(solve("http://site/1"), solve("http://site/2"))
    assert sorted(names) == ["benchmark-1", "benchmark-1", "benchmark-2", "benchmark-2"]


async def test_native_adapter_reports_a_refused_task() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": {"code": "queue_full"}}, status=503)

    app = web.Application()
    app.router.add_post("/solve", refuse)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        solved = await native(session, str(server.make_url("")).rstrip("/"))("http://site/page/1")
    assert "queue_full" in (solved.error or "")


BURN = "import time\nwhile time.process_time() < {}: pass"
#: It is looked at once more when it has used all of its time.
BURN_AND_REST = BURN + "\ntime.sleep(0.5)"
SHORT = f"""
import os, resource, subprocess, sys
sys.stdin.readline()
for burn in [{BURN.format(0.02)!r}] * 12 + [{BURN.format(0.2)!r}] * 2:
    subprocess.run([sys.executable, "-S", "-c", burn], check=True)
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(sum(u.ru_utime + u.ru_stime for u in used), flush=True)
sys.stdin.readline()
"""
UNCREDITED = f"""
import contextlib, os, signal, subprocess, sys
sys.stdin.readline()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel then drops the times of children
child = subprocess.Popen([sys.executable, "-S", "-c", {BURN_AND_REST.format(0.6)!r}])
with contextlib.suppress(ChildProcessError):
    os.waitpid(child.pid, 0)
print(flush=True)
sys.stdin.readline()
"""
UNTIL = """
import os, time
for _ in range(6000):
    if os.path.exists(os.path.join(os.environ["FOLDER"], {!r})):
        break
    time.sleep(0.01)
"""
#: The one between ends at a file `seen`, and the orphan at a file `followed`.
ORPHAN = f"""
import subprocess, sys
sys.stdin.readline()
middle = '''
import subprocess, sys
subprocess.Popen([sys.executable, "-c", sys.argv[1]])
{UNTIL.format("seen")}
'''
orphan = {BURN.format(0.8) + UNTIL.format("followed")!r}
subprocess.run([sys.executable, "-W", "ignore", "-c", middle, orphan], check=True)
print(flush=True)
sys.stdin.readline()
"""


@contextmanager
def script(source: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", source],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


def test_meter_counts_short_and_long_children_once() -> None:
    with script(SHORT) as process, Meter(ProcessTree(process.pid)) as meter:
        used = float(go(process))
    assert meter.cpu == pytest.approx(used, abs=0.1)
    assert meter.peak_processes is not None
    assert meter.peak_processes <= 2
    assert meter.peak_pss is not None
    assert 2e6 < meter.peak_pss < 200e6


def test_meter_counts_what_no_parent_is_credited_with() -> None:
    with script(UNCREDITED) as process, Meter(ProcessTree(process.pid)) as meter:
        go(process)
    assert meter.cpu is not None
    assert 0.4 < meter.cpu < 0.9


async def test_meter_follows_orphans(tmp_path: Path) -> None:
    with script(ORPHAN, FOLDER=str(tmp_path)) as process:
        tree = ProcessTree(process.pid)
        with Meter(tree) as meter:
            before, going = tree.cpu, asyncio.create_task(asyncio.to_thread(go, process))
            assert await eventually(lambda: len(tree.alive) == 3, 20)
            (tmp_path / "seen").touch()
            await going
            assert await eventually(lambda: len(tree.alive) == 2, 5), "the orphan is not followed"
            assert await eventually(lambda: tree.cpu - before >= 0.75, 30)
            (tmp_path / "followed").touch()
            assert await eventually(lambda: tree.alive == [process.pid], 20)
    assert meter.cpu is not None
    assert meter.cpu >= 0.75


def test_meter_counts_what_others_do() -> None:
    with script(SHORT) as idle, script(SHORT) as busy, Meter(ProcessTree(idle.pid)) as meter:
        started = time.monotonic()
        used = float(go(busy))
        others = used / (time.monotonic() - started)
    assert meter.cpu is not None
    assert meter.cpu < used / 3  # what its own start costs
    assert meter.others is not None
    assert meter.others > others / 2


def test_meter_without_a_tree_has_no_figures() -> None:
    with Meter(None) as meter:
        pass
    assert (meter.cpu, meter.peak_pss, meter.peak_processes, meter.others) == (None,) * 4


def test_what_is_left_behind_is_counted(tmp_path: Path) -> None:
    # One was never seen in the tree and is known by its TMPDIR, the other has no TMPDIR any more.
    with script("input()", TMPDIR=str(tmp_path / "deeper")), script("input()") as seen:
        tree = ProcessTree(seen.pid)
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "file").touch()
        assert left_behind(tree, tmp_path) == (2, 2)
    assert left_behind(tree, tmp_path) == (0, 2)


def test_peer_whose_process_is_gone_is_refused() -> None:
    with script("") as process:
        process.wait()
    with pytest.raises(ProcessLookupError):
        ProcessTree(process.pid)


@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.soak
@pytest.mark.parametrize("solves", [1, 2])
def test_a_small_run_from_end_to_end(tmp_path: Path, solves: int) -> None:
    options = f"--at-once 1 --rounds 1 --solves {solves} --work 0.05 --only service,warm --skip-api"
    file = ("--skip-fetch", "--json", str(tmp_path / "out.json"))
    command = [sys.executable, "-m", "benchmarks", *options.split(), *file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    service, warm = result["rows"]
    assert (service["contestant"], warm["contestant"]) == ("service", "warm")
    for row in (service, warm):
        assert (row["at_once"], row["solves"], row["failed"]) == (1, solves, 0)
        assert 0 < row["p50"] <= row["p95"]
        assert row["cpu_per_solve"] > 0
        assert row["peak_pss"] > 50e6
        assert row["peak_processes"] > 3
    ratios = [name for name in service if name.startswith("ratio_")]
    assert len(ratios) == 3
    assert all(service[name] > 0 for name in ratios)
    assert all(warm[name] == 1 for name in ratios)
    assert result["own_overhead"][0]["solves"] == solves
    assert {name: left[0] for name, left in result["left_behind"].items()} == {
        "service": 0,
        "warm": 0,
    }
    assert f"| service | 1 | 0 of {solves} |" in done.stdout
    assert "All else on the machine" in done.stdout


@pytest.mark.browser
def test_sigterm_ends_what_a_run_has_started() -> None:
    run = psutil.Popen([sys.executable, "-m", "benchmarks", "--only", "service"], cwd=ROOT)
    until = time.monotonic() + 60
    while len(started := run.children(recursive=True)) < 2:  # the site, and the service
        assert time.monotonic() < until
        time.sleep(0.05)
    run.terminate()
    run.wait(30)
    assert psutil.wait_procs(started, timeout=10)[1] == []


@pytest.mark.timeout(180)
async def test_api_cost_in_small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ROUND_TRIPS": 20, "MANY": 200, "PROBES": 5, "HEALTH_POLLERS": 50}.items():
        monkeypatch.setattr(api_cost, name, value)
    monkeypatch.setattr(api_cost, "PENDING_SIZES", (100, 1_000))
    figures = await api_cost.measure()
    assert 0 < figures.round_trip_p50 <= figures.round_trip_p95
    assert 0 < figures.hit_p50 <= figures.hit_p95
    assert len(figures.submits_per_second) == api_cost.PARTS
    assert min(figures.submits_per_second) > 10
    assert figures.result_uss > 15_000  # each result has a page of its own
    assert [row.pending for row in figures.growth] == [100, 1_000]
    assert "| last : first, p50 |" in api_cost.text(figures)
