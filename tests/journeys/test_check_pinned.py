"""A build of the image ends where Camoufox's browser, model or database is not the pinned one."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.camoufox_bundle import lay_out
from tests.support.repository import ROOT

CHECK = ROOT / "docker/check_pinned.py"
DATABASE = "geoip/mmdb/geoip aio by daijro-combined.mmdb"

#: The real model is at GitHub: any file stands for it, and its checksum is the pinned one.
WITH_A_MODEL_OF_OURS = f"""
import pathlib, runpy, sys
import camoufox.fpgen_model as model
model.PIN["file_sha256"] = {{"model": sys.argv[1]}}
model.fpgen_data_dir = lambda: pathlib.Path(sys.argv[2])
runpy.run_path({str(CHECK)!r}, run_name="__main__")
"""


def database() -> bytes:
    """An empty database as https://maxmind.github.io/MaxMind-DB/ says."""

    def text(value: str) -> bytes:
        assert len(value) < 29
        return bytes([2 << 5 | len(value)]) + value.encode()

    def number(kind: int, value: int) -> bytes:
        size = {5: 2, 6: 4}[kind]
        return bytes([kind << 5 | size]) + value.to_bytes(size, "big")

    fields = {
        "node_count": number(6, 1),
        "record_size": number(5, 24),
        "ip_version": number(5, 6),
        "database_type": text("Test"),
        "languages": bytes([0, 4]),
        "binary_format_major_version": number(5, 2),
        "binary_format_minor_version": number(5, 0),
        "build_epoch": bytes([8, 2]) + struct.pack(">Q", 1_790_000_000),
        "description": bytes([7 << 5]),
    }
    tree = 2 * (1).to_bytes(3, "big")
    metadata = bytes([7 << 5 | len(fields)]) + b"".join(
        text(name) + value for name, value in fields.items()
    )
    return tree + bytes(16) + b"\xab\xcd\xefMaxMind.com" + metadata


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which all is as it should be."""
    installed = tmp_path / ".cache/camoufox"
    lay_out(installed)
    (installed / DATABASE).parent.mkdir(parents=True)
    (installed / DATABASE).write_bytes(database())
    (tmp_path / "model").write_bytes(b"model")
    return tmp_path


def check(home: Path) -> subprocess.CompletedProcess[str]:
    digest = hashlib.sha256(b"model").hexdigest()
    return subprocess.run(
        [sys.executable, "-c", WITH_A_MODEL_OF_OURS, digest, str(home)],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_all_parts_are_named_where_all_are_there(home: Path) -> None:
    done = check(home)
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "browser build",
        "fpgen model",
        "GeoIP database",
    ]


def test_a_missing_part_is_named_in_one_line_and_ends_the_build(home: Path) -> None:
    bundle = next((home / ".cache/camoufox/browsers/official").iterdir())
    for path, part in (
        (bundle / "camoufox-bin", "browser build"),
        (home / "model", "fpgen model"),
        (home / ".cache/camoufox" / DATABASE, "GeoIP database"),
    ):
        kept = path.rename(home / "kept")
        done = check(home)
        kept.rename(path)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: the {part} is not the pinned one: ")


def test_another_build_model_or_database_is_not_taken_for_the_pinned_one(home: Path) -> None:
    bundle = next((home / ".cache/camoufox/browsers/official").iterdir())
    version = json.loads((bundle / "version.json").read_text())
    (bundle / "version.json").write_text(json.dumps({**version, "build": "beta.1"}))
    (home / "model").write_bytes(b"another")
    (home / ".cache/camoufox" / DATABASE).write_bytes(b"<html>")
    done = check(home)
    assert done.returncode == 1
    assert done.stdout == ""
    browser, model, places = done.stderr.splitlines()
    assert "beta.1" in browser
    assert "checksums" in model
    assert "cannot be read" in places
