"""Fixtures shared by the browser tests: one service, a challenge site, a site of hard pages."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator, Generator, Iterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp import test_utils, web, web_app
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, settings

from demo.challenge_site import SiteOptions, create_site
from tests.support.hard_site import create_hard_site
from tests.support.service import Service, run_service
from tests.support.solve_client import Client, client_of
from tests.support.warm_firefox import use_warm_firefox

# One example that the machine holds up for 0.2 s is no fault of what it tests, nor is a slow draw. The same
# examples in each run; who looks for others: --hypothesis-profile=default.
settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

#: Where the tests are that take longest.
LONGEST = (
    "tests/attacks",
    "tests/journeys",
    "tests/docs",
    "tests/captcha_bypass_scrapy/test_client.py",
)

# aiohttp's own backlog of 128 is too short where a test has 200 clients at once.
test_utils.SockSite = partial(web.SockSite, backlog=1024)  # type: ignore[assignment,attr-defined]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector off what lives until the end: modules, and thousands of tests.

    It costs a third of the collection's time to look through them again and again, and in a test
    that collects garbage half a second.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)  # only those that are selected
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files that start browsers evenly among the others, which wait more than they work.

    So processors have always something to do, and no more browsers than they can take. Those that
    take longest come first: no worker is left alone with one in the end.
    """
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    names = sorted(files, key=lambda name: not name.startswith(LONGEST))
    starts = {name: any(i.get_closest_marker("browser") for i in files[name]) for name in names}
    place: dict[str, float] = {}
    for kind in (True, False):
        same = [name for name in names if starts[name] is kind]
        place |= {name: number / len(same) for number, name in enumerate(same)}
    items[:] = [item for name in sorted(names, key=place.__getitem__) for item in files[name]]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Let aiohttp forget the test's services: it keeps the last 1,024 handlers, with all that they hold.

    By the end of the tests that is a million objects, which every collection of garbage looks through.
    """
    web_app._cached_build_middleware.cache_clear()


def pytest_collection_finish(session: pytest.Session) -> None:
    if any(item.get_closest_marker("browser") for item in session.items):
        use_warm_firefox()


@pytest.fixture
def unused_tcp_port() -> Iterator[int]:
    """A port at which nobody answers before the test does.

    It stays taken meanwhile: a connection of any other process could get a free one for its own end.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service with two workers; shared, so a test must leave it as it was.

    It has room for four sessions, and a test that counts them ends those that it finds.
    """
    flags = ("--workers", "2", "--max-timeout", "60", "--max-sessions", "4", "--log-level", "debug")
    with run_service(Path(tmp_path_factory.mktemp("service")), *flags) as running:
        yield running


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with client_of(service) as client:
        await client.until_warm()
        yield client


@pytest.fixture
async def site() -> AsyncIterator[TestServer]:
    """The challenge site, with little work."""
    server = TestServer(create_site(SiteOptions(work=0.05)))
    async with server:
        yield server


@pytest.fixture
async def hard() -> AsyncIterator[TestServer]:
    """Pages that make browsers hang, swell or die."""
    server = TestServer(create_hard_site())
    async with server:
        yield server
