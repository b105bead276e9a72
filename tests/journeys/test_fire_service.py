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

import pytest
from aiohttp.test_utils import TestServer

from tests.support.fire import dead, drivers, hit, parents, repeated
from tests.support.hard_site import SEEN
from tests.support.program import useless_firefox
from tests.support.service import alive, client_of, eventually, run_service

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


@repeated(1, 10, seconds=40)
@pytest.mark.parametrize("driver", ["running", "frozen"])
async def test_kill_9_amid_three_tasks_leaves_nothing_of_ours_and_all_of_a_stranger_s(
    tmp_path: Path, hard: TestServer, driver: str, times: int
) -> None:
    successors = ("--browser-path", str(useless_firefox(tmp_path / "firefox")))
    for turn in range(times):
        hard.app[SEEN].clear()
        with run_service(tmp_path, "--workers", "3") as service:
            async with client_of(service) as client:
                # One after the other: the last two leave no time to open another.
                for page in PAGES:
                    url = str(hard.make_url(page))
                    await client.submit(url=url, success_text="never", timeout=60)
                    assert await eventually(partial(was_asked_for, hard, page), 30)
            family, folders = service.family(), service.folders()
            assert len(folders) == 1
            base = folders[0].parent
            foreign = [tmp_path / f"playwright_firefoxdev_profile-{turn}", base / f"own-{turn}"]
            for folder in foreign:
                folder.mkdir()
            # Its mark begins like ours: no prefix of a path may be taken for the path.
            async with sleeper(f"{folders[0]}-other") as stranger:
                assert drivers(service)
                if driver == "frozen":
                    hit(drivers(service), signal.SIGSTOP)
                service.process.kill()
                service.process.wait(5)
                assert await dead(family, 5)
                with run_service(tmp_path, *successors) as successor:
                    assert not folders[0].exists()
                    assert len(successor.folders()) == 1
                    assert stranger.returncode is None
                    assert all(folder.is_dir() for folder in foreign)


async def test_next_start_clears_what_a_killed_service_left_and_nothing_else(
    tmp_path: Path,
) -> None:
    useless = ("--browser-path", str(useless_firefox(tmp_path / "firefox")))
    with run_service(tmp_path, "--workers", "1") as neighbour:
        (own,), kept = neighbour.folders(), [*drivers(neighbour), *parents(neighbour)]
        assert len(kept) == 2
        with run_service(tmp_path, *useless) as killed:
            (folder,) = set(killed.folders()) - {own}
            (tmp_path / "somebody-elses").mkdir()
            killed.process.kill()
            killed.process.wait(5)
        assert set(neighbour.folders()) == {own, folder}
        # A process of the dead service that did not die with it: the next start finds it.
        async with sleeper(str(folder)) as survivor, sleeper(str(own)) as bystander:
            with run_service(tmp_path, *useless) as successor:
                async with asyncio.timeout(5):
                    assert await survivor.wait() == -signal.SIGKILL
                (new,) = set(successor.folders()) - {own}
                assert new != folder
                assert own.is_dir()
                assert (tmp_path / "somebody-elses").is_dir()
                async with client_of(neighbour) as client:
                    assert (await client.health())[0] == 200
                assert bystander.returncode is None
        assert alive(kept) == kept
