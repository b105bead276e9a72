"""Attacks where there is nothing but loopback, without the service and through it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.attacks.arena import Arena, arena, attack_task, solve_all, tasks_going_to
from tests.attacks.bare import attack_all, bare_firefox, go_elsewhere
from tests.attacks.catalogue import ON_LOOPBACK
from tests.attacks.report import Report
from tests.attacks.site import going_to
from tests.attacks.target import SECRET
from tests.support.service import run_service
from tests.support.solve_client import Json, client_of

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
                file = tmp / "secret.html"
                file.write_text(SECRET)
                tasks = _looking_into_file(place, file) | tasks_going_to(place, _TARGET)
                views = await solve_all(client, tasks)
                views |= await solve_all(client, {"attack": attack_task(place)})
        return place.report(views)


def _looking_into_file(place: Arena, file: Path) -> dict[str, Json]:
    """Return tasks that show a file of this machine in frames, or go there as a whole."""
    ways = ("/frames", "/top/302", "/meta", "/script", "/link")
    pages = {way: place.base + going_to(way, file.as_uri()) for way in ways}
    return {
        "own frame": {"url": pages["/frames"], "success_text": "a frame that can be read"},
        # The text is looked for in every frame: finding it would show that the file can be read.
        **{
            f"file by {way}": {"url": url, "success_text": SECRET, "timeout": 2.5}
            for way, url in pages.items()
        },
    }
