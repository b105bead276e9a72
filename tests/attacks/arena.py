"""One target and one site that attacks it, running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from tests.attacks.catalogue import TOP, Vector
from tests.attacks.report import Report
from tests.attacks.site import Site, going_to
from tests.attacks.target import SECRET, Target
from tests.support.service import Client, Json


@dataclass
class Arena:
    """Where the attacks take place; `base` is the site's origin, as tasks name it."""

    target: Target
    site: Site
    base: str
    vectors: Sequence[Vector]

    def going_to(self, name: str, host: str) -> str:
        """Return the URL of the page that goes to the target as a whole in the way `name`."""
        return self.base + going_to(TOP[name], self.target.url(name, host))

    def report(self, views: dict[str, Json], told: Iterable[str] = ()) -> Report:
        """Sum up what happened until now."""
        return Report(
            hits=sorted(self.target.hits),
            untried=sorted(self.site.expected_controls - self.site.controls),
            connections=self.target.connections,
            packets=self.target.packets,
            requests=self.target.requests,
            told=sorted({*told, *(name for name, view in views.items() if SECRET in str(view))}),
            views=views,
        )


@asynccontextmanager
async def arena(
    vectors: Sequence[Vector],
    *,
    target_hosts: Sequence[str],
    site_host: str,
    name: str,
    ports: tuple[int, int] = (0, 0),
) -> AsyncIterator[Arena]:
    """Run a target and the site `name` that attacks it; `ports` are the target's and the site's."""
    tcp = [vector.name for vector in vectors if vector.kind.trace == "tcp"]
    udp = [vector.name for vector in vectors if vector.kind.trace == "udp"]
    async with Target(target_hosts, tcp, udp, ports[0]) as target:
        site = Site(target, vectors)
        runner = web.AppRunner(site.app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            listener = web.TCPSite(runner, site_host, ports[1])
            await listener.start()
            port = runner.addresses[0][1]
            base = f"http://{name}" if port == 80 else f"http://{name}:{port}"
            yield Arena(target, site, base, vectors)
        finally:
            await runner.cleanup()


async def attack_through(
    client: Client, place: Arena, host: str, ways: Iterable[str] = TOP
) -> dict[str, Json]:
    """Let tasks open the page that tries everything, and those that go to `host` as a whole."""
    tasks = {
        "attack": client.solve(
            url=f"{place.base}/attack", success_text="attacks are over", timeout=30
        )
    }
    for name in ways:
        url = place.going_to(name, host)
        tasks[name] = client.solve(url=url, success_text=SECRET, timeout=10)
    ended = await asyncio.gather(*tasks.values())
    return dict(zip(tasks, ended, strict=True))
