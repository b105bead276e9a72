"""Attacks where there is nothing but loopback, without the service and through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.attacks.arena import Arena, arena, attack_through
from tests.attacks.bare import attack_all, bare_firefox, go_elsewhere
from tests.attacks.catalogue import ON_LOOPBACK
from tests.attacks.report import Report
from tests.attacks.site import going_to
from tests.attacks.target import SECRET
from tests.support.service import Client, Json, client_of, run_service

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
                file = tmp / "secret.html"
                file.write_text(SECRET)
                views |= await _look_into_file(client, place, file)
        return place.report(views)


async def _look_into_file(client: Client, place: Arena, file: Path) -> dict[str, Json]:
    """Open pages that show a file of this machine in frames, or go there as a whole."""
    ways = ("/frames", "/top/302", "/meta", "/script", "/link")
    pages = {way: place.base + going_to(way, file.as_uri()) for way in ways}
    tasks = {
        "own frame": client.solve(
            url=pages["/frames"], success_text="a frame that can be read", timeout=10
        ),
        # The text is looked for in every frame: finding it would show that the file can be read.
        **{
            f"file by {way}": client.solve(url=url, success_text=SECRET, timeout=1.5)
            for way, url in pages.items()
        },
    }
    ended = await asyncio.gather(*tasks.values())
    return dict(zip(tasks, ended, strict=True))
