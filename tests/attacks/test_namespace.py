"""Attacks of a page from a public address on private ones, in a network of the test's own."""

from __future__ import annotations

import pytest

from tests.attacks.catalogue import APART, IN_NAMESPACE, LOOPBACK, TOP
from tests.attacks.namespace import run_inside, unshare
from tests.attacks.network import PRIVATE, PUBLIC, SITE
from tests.attacks.report import Report

# A busy machine takes minutes for the attacks through an open service.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

REACHING = [vector.name for vector in IN_NAMESPACE if vector.name not in APART]
_LOOPBACK = ("127.0.0.1", "::1")
HELD_BACK = [vector.name for vector in IN_NAMESPACE if vector.name in APART]


def run(scenario: str) -> Report:
    if unshare() is None:
        pytest.skip("this kernel lets us make no network namespace, not even with `unshare -rnmp`")
    return Report(**run_inside("tests.attacks.inside", scenario, seconds=280))


@pytest.fixture(scope="module")
def bare() -> Report:
    return run("bare")


@pytest.fixture(scope="module")
def open_to_all() -> Report:
    return run("open_to_all")


@pytest.fixture(scope="module")
def allowing() -> Report:
    return run("allowing")


@pytest.fixture(scope="module")
def to_oneself() -> Report:
    return run("to_oneself")


@pytest.mark.parametrize("name", REACHING)
def test_without_guard_the_attack_reaches_its_target(bare: Report, name: str) -> None:
    assert name in bare.hits


@pytest.mark.parametrize("name", HELD_BACK)
def test_without_guard_firefox_holds_back_what_is_listed_apart(bare: Report, name: str) -> None:
    assert name not in bare.hits, f"it belongs among the attacks: {APART[name]} is over"


@pytest.mark.parametrize("name", [*TOP, "rebinding", "proxy"])
def test_without_guard_a_page_of_its_own_shows_the_secret(bare: Report, name: str) -> None:
    assert name in bare.told


def test_without_guard_a_public_proxy_is_asked_for_private_addresses(bare: Report) -> None:
    assert set(PRIVATE.values()) <= set(bare.proxied)


def test_open_service_lets_no_attack_through(open_to_all: Report) -> None:
    assert open_to_all.hits == []
    assert (open_to_all.connections, open_to_all.packets) == (0, 0), open_to_all.requests


def test_open_service_tries_every_attack(open_to_all: Report) -> None:
    assert open_to_all.untried == []
    for name in ("attack", "rebinding"):
        assert open_to_all.ending(name) == "completed"
        assert not open_to_all.views[name]["data"]["timeout_reached"], name


def test_open_service_tells_no_secret(open_to_all: Report) -> None:
    assert open_to_all.told == []


def test_open_service_refuses_every_private_address_that_a_task_names(open_to_all: Report) -> None:
    endings = {name: open_to_all.ending(name) for name in open_to_all.views if "named" in name}
    assert len(endings) > len(PRIVATE)
    assert set(endings.values()) == {"blocked_address"}, endings


@pytest.mark.parametrize("name", TOP)
def test_open_service_ends_a_page_that_goes_to_a_private_address_as_blocked(
    open_to_all: Report, name: str
) -> None:
    assert open_to_all.ending(name) == "blocked_address"


def test_open_service_refuses_a_private_proxy(open_to_all: Report) -> None:
    assert open_to_all.ending("proxy") == "blocked_address"


def test_browsers_of_the_open_service_reach_nothing_but_the_site(open_to_all: Report) -> None:
    # What goes over loopback is our own, and the target there counts its visitors itself.
    assert [where for where in open_to_all.opened if where[0] not in _LOOPBACK] == [[PUBLIC, 80]]
    assert [where for where in open_to_all.sent if where[0] not in _LOOPBACK] == []


def test_browsers_of_the_open_service_look_up_no_names(open_to_all: Report) -> None:
    asked_by_guard = {vector.host for vector in IN_NAMESPACE} | {SITE, f"rebind.{SITE}"}
    attacks = {vector.host for vector in IN_NAMESPACE if vector.kind.trace == "dns"}
    assert set(open_to_all.names) <= asked_by_guard - attacks


def test_allowed_private_address_may_be_named(allowing: Report) -> None:
    assert allowing.ending("ten") == "completed"
    assert "ten" in allowing.told


def test_other_private_addresses_than_the_allowed_one_are_refused(allowing: Report) -> None:
    assert allowing.ending("home") == "blocked_address"
    assert allowing.hits == ["named.ten"]


def test_public_proxy_of_a_task_is_not_asked_for_private_addresses(allowing: Report) -> None:
    # What the proxy makes of a name is beyond us: it may even have a network of its own.
    assert allowing.untried == []
    assert SITE in allowing.proxied
    assert [host for host in allowing.proxied if _is_private(host)] == []


def _is_private(host: str) -> bool:
    return host in (*PRIVATE.values(), *LOOPBACK.values(), "::1", "127.0.0.1", "::ffff:a01:203")


def test_service_on_loopback_lets_a_task_name_a_private_address(to_oneself: Report) -> None:
    assert to_oneself.ending("named") == "completed"
    assert "named" in to_oneself.told


def test_service_on_loopback_lets_no_page_through_to_private_addresses(to_oneself: Report) -> None:
    assert to_oneself.told == ["named", "named in session"]
    assert to_oneself.hits == ["named", "session"]
    assert to_oneself.packets == 0
    assert to_oneself.ending("top-302") == "blocked_address"


def test_worker_that_a_sessions_site_leaves_behind_never_finds_a_private_host(
    to_oneself: Report,
) -> None:
    for name in ("leaving", "named in session", "back"):
        assert to_oneself.ending(name) == "completed"
        assert not to_oneself.views[name]["data"]["timeout_reached"], name
    assert to_oneself.told == ["named", "named in session"]
    assert to_oneself.hits == ["named", "session"]
