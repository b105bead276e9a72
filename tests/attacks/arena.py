"""One target and one site that attacks it, running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from tests.attacks.catalogue import TOP, Vector
from tests.attacks.report import Report
from tests.attacks.site import Site, going_to
from tests.attacks.target import SECRET, Target
from tests.support.solve_client import Client, Json

#: For a task that ends by itself, but late on a machine that is busy.
PATIENCE_SECONDS = 60
#: So often a task is sent that the machine had no browser for: its end says nothing of the attack.
#: Whatever reached the target is noted there all the same.
_TRIES = 2


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


def tasks_going_to(place: Arena, host: str, ways: Iterable[str] = TOP) -> dict[str, Json]:
    """Return tasks that open pages which go to the target as a whole."""
    return {name: {"url": place.going_to(name, host), "success_text": SECRET} for name in ways}


def attack_task(place: Arena, **more: object) -> Json:
    """Return the task that opens the page that tries everything.

    It comes last and by itself: it keeps its browser so busy that the service starts another for
    the next task, and ends the browser for the sake of one beside it.
    """
    return {"url": f"{place.base}/attack", "success_text": "attacks are over", **more}


async def solve_all(client: Client, tasks: Mapping[str, Json]) -> dict[str, Json]:
    """Let tasks run, as many at once as the service has workers; return how each ended.

    They get ample time where they ask for none: what is refused ends at once, and a browser that is
    late shows nothing.
    """
    ended = await asyncio.gather(*(_solve(client, task) for task in tasks.values()))
    return dict(zip(tasks, ended, strict=True))


async def _solve(client: Client, task: Json) -> Json:
    for _ in range(_TRIES):
        view = await client.solve(**{"timeout": PATIENCE_SECONDS, **task})
        if not view["error"] or view["error"]["code"] != "browser_unavailable":
            break
    return view
