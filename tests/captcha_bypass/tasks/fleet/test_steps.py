"""The script that runs in Redis has all its parts."""

from __future__ import annotations

from captcha_bypass.tasks.fleet.steps import PARTS
from tests.support.repository import ROOT


def test_every_part_of_the_script_is_loaded_once() -> None:
    there = [path.stem for path in (ROOT / "captcha_bypass/tasks/fleet/lua").iterdir()]
    assert sorted(PARTS) == sorted(there)
