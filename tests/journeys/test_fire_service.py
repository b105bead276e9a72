"""The service itself killed -9 amid several tasks: its processes die, its folders go next time."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
from aiohttp.test_utils import TestServer

from captcha_bypass.browsers.launch.processes import INSTANCE_MARK
from tests.support.fire import dead, drivers, hit, parents, repeated
from tests.support.hard_site import SEEN
from tests.support.program import useless_firefox
from tests.support.service import Service, alive, eventually, run_service
from tests.support.solve_client import client_of

pytestmark = pytest.mark.browser

PAGES = ("/plain", "/spin", "/alerts")


@asynccontextmanager
async def sleeper(mark: str) -> AsyncIterator[Process]:
    """A process that carries the mark of a service's processes."""
    process = await asyncio.create_subprocess_exec(
        "sleep", "60", env={**os.environ, "CAPTCHA_BYPASS_INSTANCE": mark}
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def was_asked_for(hard: TestServer, page: str) -> bool:
    return any(path == page for path, _ in hard.app[SEEN])


async def at_three_pages(service: Service, hard: TestServer) -> None:
    """Leave three tasks at pages that need all of their browser."""
    hard.app[SEEN].clear()
    async with client_of(service) as client:
        # One after the other: the last two leave no time to open another.
        for page in PAGES:
            url = str(hard.make_url(page))
            await client.submit(url=url, success_text="never", timeout=60)
            assert await eventually(partial(was_asked_for, hard, page), 60)


def marked(service: Service, folder: Path) -> list[psutil.Process]:
    """Those processes of the services of one user that belong to the one with that folder."""
    found = []
    for process in service.family():
        with suppress(psutil.Error):
            if process.environ().get(INSTANCE_MARK) == str(folder):
                found.append(process)
    return found


@repeated(1, 10, seconds=100)
async def test_kill_9_amid_three_tasks_leaves_nothing_of_ours_and_all_of_others(
    tmp_path: Path, hard: TestServer, times: int
) -> None:
    """Of two services of one user: one with its driver frozen, and then the other as it is."""
    successors = ("--browser-path", str(useless_firefox(tmp_path / "firefox")))
    for turn in range(times):
        with run_service(tmp_path, "--workers", "3") as neighbour:
            (own,), kept = neighbour.folders(), [*drivers(neighbour), *parents(neighbour)]
            assert len(kept) == 2
            foreign = [
                tmp_path / f"playwright_firefoxdev_profile-{turn}",
                own.with_name(f"own-{turn}"),
            ]
            for each in foreign:
                each.mkdir()
            with run_service(tmp_path, "--workers", "3") as frozen:
                await at_three_pages(frozen, hard)
                (folder,) = set(frozen.folders()) - {own}
                family = marked(frozen, folder)
                hit([p for p in drivers(frozen) if p in family], signal.SIGSTOP)
                frozen.process.kill()
                frozen.process.wait(5)
                assert await dead(family, 5)
            assert set(neighbour.folders()) == {own, folder}
            # Of the first, which did not die with it; of the second; and one whose mark begins like
            # ours: no prefix of a path may be taken for the path.
            async with (
                sleeper(str(folder)) as survivor,
                sleeper(str(own)) as bystander,
                sleeper(f"{folder}-other") as stranger,
            ):
                with run_service(tmp_path, *successors) as successor:
                    async with asyncio.timeout(5):
                        assert await survivor.wait() == -signal.SIGKILL
                    (new,) = set(successor.folders()) - {own}
                    assert new != folder
                    async with client_of(neighbour) as client:
                        assert (await client.health())[0] == 200
                assert bystander.returncode is None
                assert stranger.returncode is None
            assert alive(kept) == kept
            await at_three_pages(neighbour, hard)
            family = neighbour.family()
            neighbour.process.kill()
            neighbour.process.wait(5)
            assert await dead(family, 5)
            with run_service(tmp_path, *successors) as successor:
                assert not own.exists()
                assert len(successor.folders()) == 1
                assert all(each.is_dir() for each in foreign)
