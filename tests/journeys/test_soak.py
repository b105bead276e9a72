"""Thousands of tasks under load and fire: the right outcomes, and nothing that grows.

SOAK_SOLVES=2000 is the number of tasks; `make soak` runs it and shows its progress.
"""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
from aiohttp.test_utils import TestServer

from demo.challenge_site import SiteOptions, create_site
from tests.support.fire import dead, seeded, settled, works
from tests.support.service import eventually, run_service
from tests.support.soak_figures import BELONGINGS, Meter
from tests.support.soak_load import Load, jobs
from tests.support.solve_client import client_of

SOLVES = int(os.environ.get("SOAK_SOLVES", "2000"))
WORKERS = 4
#: Tasks in flight: enough that no worker waits for a client.
CLIENTS = 10
TASKS_PER_SAMPLE = 50
#: Samples from which growth can be told.
ENOUGH = 20
#: kB per 100 tasks: 1 GB in a million of them is the most that the service's own process may
#: grow. A result that is not let go of would be about ten times that.
FLAT = 100.0
#: For the driver, whose heap grows and shrinks by megabytes on its way.
DRIVER_FLAT = 1000.0

pytestmark = [pytest.mark.browser, pytest.mark.soak, pytest.mark.timeout(600 + 4 * SOLVES)]


async def test_thousands_of_tasks_end_as_they_should_and_nothing_grows(
    tmp_path: Path, hard: TestServer
) -> None:
    draw = seeded()
    # Results expire early on, so that what they hold stays the same from then on.
    flags = ("--workers", str(WORKERS), "--result-ttl", "30", "--log-level", "warning")
    site = TestServer(create_site(SiteOptions(work=0.02)))
    async with site:
        with run_service(tmp_path, *flags) as service:
            async with client_of(service) as client:
                await works(client, hard)
                base_line = await settled(lambda: len(service.family()), calm=3)
                meter = Meter(service)

                def after_each(ended: int) -> None:
                    if ended % TASKS_PER_SAMPLE == 0:
                        meter.sample(ended)
                    if ended % 100 == 0:
                        rate = 60 * ended / meter.elapsed
                        outcomes = ", ".join(f"{n} {kind}" for kind, n in load.outcomes.items())
                        print(f"{meter.elapsed:5.0f} s, {ended} ended, {rate:.0f}/min: {outcomes}")
                        print(f"        {meter.samples[-1]}")

                load = Load(service, client, draw, after_each)
                await load.run(jobs(draw, SOLVES, site, hard), CLIENTS)
                elapsed = meter.elapsed
                # A browser that was started ahead is kept for a while before it counts as idle.
                assert await eventually(lambda: len(service.family()) <= base_line, 90)
                assert await eventually(lambda: not zombies(service.process.pid), 10)
                _, health = await client.health()
                family = service.family()
        assert service.process.returncode == 0
        orphans = not await dead(family, 5)
    report = [
        ("tasks", f"{load.ended} in {elapsed:.0f} s, {60 * load.ended / elapsed:.0f} per minute"),
        ("outcomes", ", ".join(f"{n} {kind}" for kind, n in sorted(load.outcomes.items()))),
        ("browsers killed", str(len(load.kills))),
        *meter.rows(),
    ]
    print("\n| | |\n|---|---|", *(f"| {name} | {value} |" for name, value in report), sep="\n")
    print(*load.surprises[:40], sep="\n")
    assert load.ended == SOLVES
    assert load.outcomes["unexpected"] <= SOLVES // 1000
    assert (health["running"], health["queue"]) == (0, 0)
    assert not orphans
    assert not service.family()
    if len(meter.samples) < ENOUGH:
        pytest.skip("all as it should, but growth cannot be told from so few tasks")
    assert meter.slope("rss") < FLAT
    assert meter.slope("uss") < FLAT
    assert meter.slope("driver_pss") < DRIVER_FLAT
    for name, spare in BELONGINGS.items():
        first, last = meter.quarters(name)
        assert last <= first * 1.25 + spare, name


def zombies(root: int) -> list[psutil.Process]:
    """Dead processes below one that nobody has reaped."""
    found = []
    for process in psutil.Process(root).children(recursive=True):
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found
