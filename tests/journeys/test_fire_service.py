"""The service itself killed -9 amid several tasks: its processes die, its folders go next time."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from tests.support.fire import dead, drivers, hit, repeated
from tests.support.hard_site import SEEN
from tests.support.service import client_of, eventually, run_service

pytestmark = pytest.mark.browser

PAGES = ("/plain", "/spin", "/alerts")


@repeated(1, 10, seconds=40)
@pytest.mark.parametrize("driver", ["running", "frozen"])
async def test_kill_9_amid_three_tasks_leaves_nothing_of_ours_and_all_of_a_stranger_s(
    tmp_path: Path, hard: TestServer, driver: str, times: int
) -> None:
    seen = hard.app[SEEN]
    for turn in range(times):
        seen.clear()
        with run_service(tmp_path, "--workers", "3") as service:
            async with client_of(service) as client:
                for page in PAGES:
                    url = str(hard.make_url(page))
                    await client.submit(url=url, success_text="never", timeout=60)
                assert await eventually(lambda: {path for path, _ in seen} >= set(PAGES), 30)
            family, folders = service.family(), service.folders()
            assert len(folders) == 1
            base = folders[0].parent
            foreign = [tmp_path / f"playwright_firefoxdev_profile-{turn}", base / f"own-{turn}"]
            for folder in foreign:
                folder.mkdir()
            # Its mark begins like ours: no prefix of a path may be taken for the path.
            stranger = await asyncio.create_subprocess_exec(
                "sleep", "60", env={**os.environ, "CAPTCHA_BYPASS_INSTANCE": f"{folders[0]}-other"}
            )
            try:
                if driver == "frozen":
                    hit(drivers(service), signal.SIGSTOP)
                service.process.kill()
                service.process.wait(5)
                assert await dead(family, 5)
                with run_service(tmp_path, "--workers", "1") as successor:
                    assert not folders[0].exists()
                    assert len(successor.folders()) == 1
                    assert stranger.returncode is None
                    assert all(folder.is_dir() for folder in foreign)
            finally:
                stranger.kill()
                await stranger.wait()
