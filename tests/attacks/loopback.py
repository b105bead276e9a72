"""Attacks where there is nothing but loopback, without the service and through it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.attacks.arena import Arena, arena, attack_through
from tests.attacks.bare import attack_all, bare_firefox, go_elsewhere
from tests.attacks.catalogue import ON_LOOPBACK
from tests.attacks.report import Report
from tests.service import client_of, run_service

_TARGET = "127.0.0.1"


@asynccontextmanager
async def _arena() -> AsyncIterator[Arena]:
    # As localhost, because only a secure context has service workers and WebTransport.
    async with arena(
        ON_LOOPBACK, target_hosts=[_TARGET, "::1"], site_host="127.0.0.1", name="localhost"
    ) as place:
        yield place


async def without_guard() -> Report:
    async with _arena() as place, bare_firefox() as browser:
        await attack_all(browser, place)
        told = await go_elsewhere(browser, place, _TARGET)
        return place.report({}, told)


async def with_guard(tmp: Path) -> Report:
    async with _arena() as place:
        with run_service(tmp, "--workers", "2") as service:
            async with client_of(service) as client:
                await client.until_warm()
                views = await attack_through(client, place, _TARGET)
        return place.report(views)
