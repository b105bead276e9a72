"""The page for newcomers names what is there, and draws the layers that are checked."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise

import pytest

from tests.docs.pages import blocks_of, read, section
from tests.support.repository import ROOT

PAGE = "docs/architecture.md"
PACKAGES = ("captcha_bypass", "captcha_bypass_scrapy")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


def layers() -> list[set[str]]:
    """Return the modules of each layer of the service, the highest first."""
    (contract,) = (c for c in CONTRACTS["contracts"] if c["type"] == "layers")
    return [set(re.findall(r"\w+", line)) for line in contract["layers"]]


def heights() -> dict[str, int]:
    """Return the line of the picture in which each module of the service is first drawn."""
    (picture,) = blocks_of(PAGE)
    drawn: dict[str, int] = {}
    for height, line in enumerate(picture.text.splitlines()):
        for name in re.findall(r"(\w+)(?:\.py|/)(?!\w)", line):
            drawn.setdefault(name, height)
    return drawn


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w./-]+[./][\w./-]*)`", read(PAGE)))))
def test_what_the_page_names_is_there(path: str) -> None:
    assert (ROOT / path).exists() or (ROOT / "captcha_bypass" / path).is_dir()


def test_every_room_of_the_service_is_in_the_picture() -> None:
    rooms = {
        path.stem
        for path in (ROOT / "captcha_bypass").iterdir()
        if path.is_dir() and (path / "__init__.py").exists()
    }
    assert rooms <= set(heights())


def test_every_module_of_the_service_is_in_a_layer() -> None:
    modules = {
        path.stem
        for path in (ROOT / "captcha_bypass").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert modules - {"__init__"} == set().union(*layers())


def test_the_picture_has_the_layers_in_the_order_that_is_checked() -> None:
    drawn = heights()
    for upper, lower in pairwise(layers()):
        for high in upper & set(drawn):
            for low in lower & set(drawn):
                assert drawn[high] <= drawn[low], (high, low)


@pytest.mark.parametrize(
    "heading",
    [
        "The way of a task",
        "The way of a person's click",
        "The way of a shared clearance",
        "The way of a session",
        "The way of a challenged Scrapy response",
        "The way of a Scrapy request through the browser",
        "The way of a request of requests or httpx",
    ],
)
def test_a_way_has_five_lines_each_with_its_files(heading: str) -> None:
    lines = [line for line in section(PAGE, heading).splitlines() if re.match(r"\d\. ", line)]
    assert len(lines) == 5
    for line in lines:
        assert re.search(rf"`({'|'.join(PACKAGES)})/[\w/]+\.py`", line), line
