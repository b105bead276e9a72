"""Attacks on the machine's own loopback services: what a stock Firefox does, what ours does not."""

from __future__ import annotations

import asyncio

import pytest

from tests.attacks import loopback
from tests.attacks.catalogue import APART, ON_LOOPBACK, TOP
from tests.attacks.report import Report

# A busy machine takes minutes for the attacks through the service.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

REACHING = [vector.name for vector in ON_LOOPBACK if vector.name not in APART]
HELD_BACK = [vector.name for vector in ON_LOOPBACK if vector.name in APART]


@pytest.fixture(scope="module")
def bare() -> Report:
    return asyncio.run(loopback.without_guard())


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return asyncio.run(loopback.with_guard(tmp_path_factory.mktemp("guarded")))


@pytest.mark.parametrize("name", REACHING)
def test_without_guard_the_attack_reaches_its_target(bare: Report, name: str) -> None:
    assert name in bare.hits


@pytest.mark.parametrize("name", HELD_BACK)
def test_without_guard_firefox_holds_back_what_is_listed_apart(bare: Report, name: str) -> None:
    assert name not in bare.hits, f"it belongs among the attacks: {APART[name]} is over"


def test_without_guard_every_attack_is_tried_on_the_own_site_too(bare: Report) -> None:
    assert bare.untried == []


@pytest.mark.parametrize("name", TOP)
def test_without_guard_a_page_that_goes_to_the_target_shows_its_secret(
    bare: Report, name: str
) -> None:
    assert name in bare.told


def test_with_guard_no_attack_reaches_its_target(guarded: Report) -> None:
    assert guarded.hits == []


def test_with_guard_the_target_sees_neither_connection_nor_packet(guarded: Report) -> None:
    assert (guarded.connections, guarded.packets) == (0, 0), guarded.requests


def test_with_guard_every_attack_is_really_tried(guarded: Report) -> None:
    assert guarded.untried == []
    assert guarded.ending("attack") == "completed"
    assert not guarded.views["attack"]["data"]["timeout_reached"]


def test_with_guard_no_result_holds_the_secret(guarded: Report) -> None:
    assert guarded.told == []


@pytest.mark.parametrize("name", TOP)
def test_with_guard_a_page_that_goes_to_the_target_ends_as_blocked(
    guarded: Report, name: str
) -> None:
    assert guarded.ending(name) == "blocked_address"


def test_no_page_reads_a_file_of_the_machine(guarded: Report) -> None:
    assert not guarded.views["own frame"]["data"]["timeout_reached"]
    tried = {name: view for name, view in guarded.views.items() if name.startswith("file by")}
    assert len(tried) == 5
    for name, view in tried.items():
        assert view["error"] or view["data"]["timeout_reached"], name
