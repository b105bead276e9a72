"""The page's files: what they are made of is listed, and nothing in them goes around the policy."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.dashboard import STATIC
from tests.support.repository import ROOT

VENDOR = STATIC / "vendor"
LIST = json.loads((VENDOR / "vendor.json").read_text())
LOCK = json.loads((ROOT / "package-lock.json").read_text())["packages"]
OWN = sorted(path for path in STATIC.rglob("*.js") if VENDOR not in path.parents)


def test_every_vendored_file_is_listed_with_its_checksum() -> None:
    listed = {name: digest for entry in LIST.values() for name, digest in entry["files"].items()}
    here = {path for path in VENDOR.iterdir() if path.name != "vendor.json"}
    assert {
        path.name: f"sha256-{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in here
    } == listed


@pytest.mark.parametrize("name", sorted(LIST))
def test_a_vendored_library_is_the_locked_one_with_its_licence(name: str) -> None:
    entry, locked = LIST[name], LOCK[f"node_modules/{name}"]
    assert [entry[key] for key in ("version", "license", "integrity")] == [
        locked[key] for key in ("version", "license", "integrity")
    ]
    assert entry["integrity"].startswith("sha512-")
    assert "Copyright" in (VENDOR / f"{name}.LICENSE.txt").read_text()


@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.relative_to(STATIC)))
def test_a_module_makes_elements_by_preact_alone(path: Path) -> None:
    """No text of a page is ever parsed as HTML, or run."""
    sinks = r"innerHTML|outerHTML\s*=|insertAdjacentHTML|document\.write|\beval\b|new Function|"
    sinks += r"dangerously|javascript:|setAttribute\(|createContextualFragment|setHTMLUnsafe"
    assert re.findall(sinks, path.read_text()) == []
    imports = re.findall(r'from "([^"]+)"', path.read_text())
    assert all((path.parent / name).resolve().is_file() for name in imports)
    assert len(path.read_text().splitlines()) <= 250


class Inline(HTMLParser):
    """Finds scripts, styles and handlers that stand in a page itself, and where its files come from."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.files: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]
        self.files += [str(names[name]) for name in ("src", "href") if name in names]


def test_the_page_loads_its_own_files_alone() -> None:
    parser = Inline()
    parser.feed((STATIC / "index.html").read_text())
    assert parser.found == []
    assert len(parser.files) == 4
    for name in parser.files:
        assert (STATIC / name.removeprefix("dashboard/static/")).is_file()


def test_styles_load_nothing() -> None:
    for path in STATIC.rglob("*.css"):
        assert re.findall(r"url\(|@import", path.read_text()) == []
