"""`make verify-camoufox` says what it saw: its engine-neutral checks pass on stock Firefox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import ROOT
from tests.verify import __main__ as program
from tests.verify.kit import CHECKS, Bench, Report, Skip, run

#: What is not to be had on Firefox, or only with Docker or the internet.
NOT_HERE = {1, 2, 3, 4, 26}
ALL = range(1, 31)


@pytest.mark.soak
@pytest.mark.browser
@pytest.mark.timeout(300)  # a minute on a machine that has nothing else to do
def test_all_that_does_not_need_camoufox_passes_on_firefox(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.verify", "--browser", "firefox", "--quick"]
    done = subprocess.run(
        [*command, "--report", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(report.read_text())
    rows = {row["number"]: row for row in told["rows"]}
    assert set(rows) == set(ALL)
    assert {n for n, row in rows.items() if row["result"] == "SKIP"} == NOT_HERE
    assert all(row["reason"] for row in rows.values())
    assert told["versions"]["browser"].startswith("firefox")


def test_each_row_of_the_table_is_a_check() -> None:
    assert program.PARTS
    assert sorted(number for number, _, _ in CHECKS) == list(ALL)


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (None, "PASS"),
        (Skip("needs Docker"), "SKIP"),
        (AssertionError("3 requests"), "FAIL"),
        (KeyError("data"), "FAIL"),
    ],
)
async def test_check_that_does_not_hold_is_a_row_with_its_reason(
    error: Exception | None, result: str
) -> None:
    async def made(bench: Bench) -> str:
        if error is not None:
            raise error
        return "seen"

    bench: Any = None
    row = await run(7, "a check", made, bench)
    report = Report("firefox", {}, [row])
    assert row.result == result
    assert row.reason
    assert f" 7  {result}" in report.table()
    assert json.loads(report.document())["rows"][0]["result"] == result
