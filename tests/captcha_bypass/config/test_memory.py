"""The service says when its workers need more memory than its cgroup allows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from captcha_bypass.config import Config
from captcha_bypass.config.memory import GIB, allowed_bytes, memory_remarks, needed_bytes
from tests.support.repository import ROOT

UNLIMITED_V1 = "9223372036854771712\n"


def laid_out(tmp_path: Path, own: str, files: dict[str, str]) -> int | None:
    for name, content in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(content)
    (tmp_path / "own").write_text(own)
    return allowed_bytes(tmp_path / "fs", tmp_path / "own")


@pytest.mark.parametrize(
    ("own", "files", "allowed"),
    [
        ("0::/\n", {"memory.max": "5368709120\n"}, 5 * GIB),  # a container
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "1073741824\n"}, GIB),
        ("0::/a\n", {"memory.max": "3221225472\n"}, 3 * GIB),  # the host's path, our own root
        (
            "4:memory:/a\n1:cpu:/\n0::/\n",
            {
                "memory/a/memory.limit_in_bytes": "1073741824\n",
                "memory/memory.limit_in_bytes": UNLIMITED_V1,
            },
            GIB,
        ),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": UNLIMITED_V1}, None),
        ("", {}, None),
        ("0::/\n", {"memory.max": "\n"}, None),
    ],
)
def test_least_limit_on_the_way_up_counts(
    tmp_path: Path, own: str, files: dict[str, str], allowed: int | None
) -> None:
    assert laid_out(tmp_path, own, files) == allowed


def test_a_machine_without_cgroups_has_no_limit(tmp_path: Path) -> None:
    assert allowed_bytes(tmp_path / "fs", tmp_path / "own") is None


def test_need_is_what_the_compose_file_gives() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    assert "mem_limit: 5g" in compose
    assert "4 workers; 7g for 8" in compose
    assert needed_bytes(4, 100, 2 * GIB) == 5 * GIB
    assert needed_bytes(8, 100, 2 * GIB) == 7 * GIB
    assert needed_bytes(4, 1, 2 * GIB) == 11 * GIB


@pytest.mark.parametrize(
    ("workers", "allowed", "said"),
    [
        (4, 5 * GIB, None),
        (4, None, None),
        (9, 7 * GIB, "9 workers may need 9.0 GiB .* allows 7.0 GiB.*--workers 8"),
        (1, GIB, "1 workers may need 5.0 GiB .* allows 1.0 GiB.*--max-browser-bytes"),
    ],
)
def test_too_many_workers_are_told_with_what_would_fit(
    workers: int, allowed: int | None, said: str | None
) -> None:
    lines = list(memory_remarks(Config(workers=workers), allowed))
    if said is None:
        assert lines == []
    else:
        (line,) = lines
        assert re.search(said, line)


@pytest.fixture
def one_gibibyte() -> Iterator[Path]:
    """A cgroup for one process that may use 1 GiB; the kernel may have either version."""
    for parent, name in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = parent / f"captcha-bypass-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / name).write_text(str(GIB))
        except OSError:
            if group.is_dir():
                group.rmdir()
            continue
        yield group
        group.rmdir()
        return
    pytest.skip("needs root, and a memory cgroup that may be written to")


def test_the_service_warns_at_its_start(one_gibibyte: Path, tmp_path: Path) -> None:
    """Inside a real cgroup; it ends itself because the Firefox it is given is none."""
    command = [sys.executable, "-m", "captcha_bypass", "--browser", "firefox", "--port", "0"]
    done = subprocess.run(
        [*command, "--browser-path", "/bin/true", "--workers", "4"],
        preexec_fn=lambda: (one_gibibyte / "cgroup.procs").write_text(str(os.getpid())),
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode not in (0, -signal.SIGKILL)
    assert "WARNING" in done.stderr
    assert "4 workers may need 5.0 GiB of memory and the cgroup allows 1.0 GiB" in done.stderr
