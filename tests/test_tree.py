"""The tests stand where the code stands that they test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repository import ROOT

TESTS = ROOT / "tests"
PACKAGES = ("captcha_bypass", "captcha_bypass_scrapy")
FILES = sorted(path for name in PACKAGES for path in (TESTS / name).rglob("test_*.py"))


def of_tests(path: Path) -> str:
    return str(path.relative_to(TESTS))


@pytest.mark.parametrize("path", FILES, ids=of_tests)
def test_a_file_of_tests_begins_with_the_name_of_a_module_of_its_room(path: Path) -> None:
    room = ROOT / path.parent.relative_to(TESTS)
    modules = {module.stem for module in room.glob("*.py")} | {room.name, "package"}
    subject = path.stem.removeprefix("test_")
    assert any(subject == name or subject.startswith(f"{name}_") for name in modules)


@pytest.mark.parametrize(
    "path", sorted((ROOT / PACKAGES[1]).glob("[a-z]*.py")), ids=lambda p: p.name
)
def test_each_module_of_the_middleware_has_a_file_of_tests(path: Path) -> None:
    assert (TESTS / PACKAGES[1] / f"test_{path.name}").exists()
