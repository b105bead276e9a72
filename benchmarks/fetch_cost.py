"""What a request through the cleared browser costs: `python -m benchmarks.fetch_cost`.

Everybody asks the challenge site for 10 kB pages, after it has been cleared, in turns of some seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

from benchmarks.adapters import Solve
from benchmarks.contest import challenge_site, end_on_sigterm, say
from benchmarks.contestants import ROOT, Contestant, Peer, environment_in
from benchmarks.fetch_long import Growth, crawls, growth
from benchmarks.fetch_report import BARE, FETCH, PAGE, Turn, fetch_rows, fetch_table
from benchmarks.fetch_turns import Fetching, Site, take
from benchmarks.fetchers import bare_client, by_fetch, by_flaresolverr, by_page
from benchmarks.meter import ProcessTree
from benchmarks.report import table
from tests.support.service import Service, run_service

#: MiB of the pages by which the way through is measured.
LARGE = 2
#: Fetches of them, and how many at once.
LARGE_FETCHES, LARGE_AT_ONCE = 40, 4


@dataclass(frozen=True)
class FetchPlan:
    """What to measure.

    Attributes:
        seconds: Of a contestant's turn.
        work: Seconds that a challenge takes.
        pages: Of each Scrapy crawl; 0: none.
        long: Fetches over which the memory is watched; 0: none.
    """

    at_once: tuple[int, ...] = (1, 4, 16, 64)
    rounds: int = 3
    seconds: float = 5.0
    work: float = 0.4
    pages: int = 2_000
    long: int = 0
    peers: tuple[Peer, ...] = ()


async def through(solve: Solve, site: Site) -> float:
    """Return the MB/s at which large pages come."""
    urls = iter([site.page(LARGE) for _ in range(LARGE_FETCHES)])

    async def client() -> None:
        for url in urls:
            if error := (await solve(url)).error:
                raise RuntimeError(error)

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(LARGE_AT_ONCE)))
    return LARGE_FETCHES * LARGE * 1.048576 / (time.perf_counter() - start)


@asynccontextmanager
async def _everybody(
    plan: FetchPlan, folder: Path, site: Site
) -> AsyncIterator[tuple[list[Fetching], Service, ProcessTree]]:
    """Yield the contestants, and the service with its processes."""
    bounds = ("--workers", "4", "--max-per-host", "0", "--max-sessions", "8")
    flags = (*bounds, "--log-format", "json", "--log-level", "debug")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        with run_service(folder, *flags, env=environment_in(folder)) as service:
            pid = service.process.pid
            tree, log = ProcessTree(pid), folder / "log"
            async with bare_client(http, service.url, site.page()) as bare:
                own = [
                    Fetching(Contestant(FETCH, by_fetch(http, service.url), tree), pid, log),
                    Fetching(Contestant(PAGE, by_page(http, service.url), tree), pid),
                    Fetching(Contestant(BARE, bare, None)),
                ]
                for peer in plan.peers:
                    found = peer.contestant(http)
                    adapter = by_fetch if peer.adapter == "native" else by_flaresolverr
                    solve = adapter(http, peer.url)
                    own.append(Fetching(Contestant(peer.name, solve, found.tree)))
                yield own, service, tree


async def measure(plan: FetchPlan, folder: Path) -> dict[str, object]:
    """Take all figures, print the tables, and return everything."""
    with challenge_site(plan.work) as address:
        site = Site(address)
        async with _everybody(plan, folder, site) as (everybody, service, tree):
            turns = await _rounds(plan, everybody, site)
            rows = fetch_rows(turns)
            print("\n" + fetch_table(rows))
            _print_errors(turns)
            solve = {f.contestant.name: f.contestant.solve for f in everybody}
            speeds = {name: await through(solve[name], site) for name in (FETCH, BARE)}
            print("\n" + table(("2 MiB pages, 4 at once", "MB/s"), _shown(speeds)))
            grown: list[Growth] = []
            if plan.long:
                grown = await growth(by_fetch, service, tree, site.page, plan.long)
                body = [
                    (f"{g.fetches:,}", f"{g.pss / 1e6:.0f}", f"{g.python / 1e6:.1f}") for g in grown
                ]
                print("\n" + table(("fetches", "MB of the tree", "MB of Python, RSS"), body))
            crawled = await crawls(service.url, plan.pages) if plan.pages else {}
            if crawled:
                head = (f"crawl of {plan.pages:,} pages", "pages/s")
                print("\n" + table(head, _shown(crawled)))
    return {
        "failed": sum(row.failed for row in rows),
        "rows": [asdict(row) for row in rows],
        "large": speeds,
        "growth": [asdict(item) for item in grown],
        "crawls": crawled,
        "turns": [asdict(turn) for turn in turns],
    }


def _shown(figures: dict[str, float]) -> Iterator[tuple[str, str]]:
    return ((name, f"{value:.1f}") for name, value in figures.items())


async def _rounds(plan: FetchPlan, everybody: Sequence[Fetching], site: Site) -> list[Turn]:
    turns = []
    for at_once in plan.at_once:
        for fetching in everybody:  # warms up, and clears the site
            await take(fetching, site, at_once, 0, 0.5)
        for number in range(1, plan.rounds + 1):
            first = (number - 1) % len(everybody)
            for fetching in [*everybody[first:], *everybody[:first]]:
                turn = await take(fetching, site, at_once, number, plan.seconds)
                turns.append(turn)
                say(f"{at_once} at once: {turn.contestant} {turn.per_second:.1f} a second")
    return turns


def _print_errors(turns: Sequence[Turn]) -> None:
    errors = Counter(
        (turn.contestant, fetch.error) for turn in turns for fetch in turn.fetches if fetch.error
    )
    for (name, error), count in errors.most_common(10):
        print(f"\nFAILED: {name}, {count} times: {error}")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fetch_cost", description=__doc__)
    add, plan = parser.add_argument, FetchPlan()
    add("--at-once", type=_numbers, default=plan.at_once, help="fetches at once (1,4,16,64)")
    add("--rounds", type=int, default=plan.rounds, help="turns of each contestant (%(default)s)")
    add("--seconds", type=float, default=plan.seconds, help="of a turn (%(default)s)")
    add("--work", type=float, default=plan.work, help="seconds a challenge takes (%(default)s)")
    add("--pages", type=int, default=plan.pages, help="of each crawl; 0: none (%(default)s)")
    add("--long", type=int, default=0, metavar="N", help="memory over N fetches more, say 20000")
    add("--peer", type=Peer.parse, action="append", default=[], metavar="NAME=ADAPTER:URL[@PID]")
    default = ROOT / "benchmarks/results/fetch.json"
    add("--json", type=Path, default=default, metavar="FILE", help="where all figures go")
    return parser.parse_args(given)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def run(plan: FetchPlan) -> dict[str, object]:
    """Measure, and print the tables; see `measure`."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as folder:
        return asyncio.run(measure(plan, Path(folder)))


def main(given: Sequence[str] | None = None) -> int:
    """Measure as the command line says; 1: a fetch has failed."""
    arguments = vars(_arguments(given))
    file, peers = arguments.pop("json"), tuple(arguments.pop("peer"))
    result = run(FetchPlan(**arguments, peers=peers))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
