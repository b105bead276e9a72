"""Every link of a page leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, read, tokens_of
from tests.support.repository import ROOT

LINKED = [*PAGES, "SECURITY.md", "CONTRIBUTING.md"]


def links_of(page: str) -> list[str]:
    parts = [child for token in tokens_of(read(page)) for child in token.children or []]
    links = [str(part.attrGet("href")) for part in parts if part.type == "link_open"]
    return [link for link in links if not re.match(r"https?:", link)]


@cache
def anchors_of(page: str) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    found = set()
    tokens = tokens_of(read(page))
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            text = re.sub(r"[`*]", "", following.content).lower()
            found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", LINKED)
def test_links_lead_to_files_and_headings(page: str) -> None:
    links = links_of(page)
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        if anchor:
            name = str(target.relative_to(ROOT))
            assert anchor in anchors_of(name), link


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_the_index_and_the_readme_lead_to_every_page(page: str) -> None:
    name = page.removeprefix("docs/")
    assert name == "README.md" or name in {
        link.partition("#")[0] for link in links_of("docs/README.md")
    }
    assert page in {link.partition("#")[0] for link in links_of("README.md")}


def test_what_the_pages_lead_to_is_shipped_with_them(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        shipped = {name.partition("/")[2] for name in files.getnames()}
    for page in PAGES:
        assert page in shipped
        for link in links_of(page):
            path = ((ROOT / page).parent / link.partition("#")[0]).resolve()
            name = str(path.relative_to(ROOT))
            assert link.startswith("#") or name in shipped, link
