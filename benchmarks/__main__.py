"""The command line: `python -m benchmarks`, or `make bench`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import api_cost, fetch_cost
from benchmarks.contest import Outcome, Plan, end_on_sigterm, hold, say
from benchmarks.contestants import ROOT, Peer
from benchmarks.naive import firefox
from benchmarks.overhead import overhead_table, overheads
from benchmarks.report import contest_table, guard_cost, others, rows, table

OWN = ("service", "unguarded", "warm", "cold")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(_positive(part) for part in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not set(names) <= set(OWN):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(OWN)}")
    return names


def _peer(text: str) -> Peer:
    try:
        return Peer.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures this service beside bare Playwright loops and other services.",
    )
    add = parser.add_argument
    add("--at-once", type=_numbers, default="1,2,4", help="solves at once (%(default)s)")
    add("--rounds", type=_positive, default=5, help="turns of each contestant (%(default)s)")
    add("--solves", type=_positive, default=12, help="solves in a turn (%(default)s)")
    add("--work", type=float, default=0.4, help="seconds a challenge takes (%(default)s)")
    add("--only", type=_names, default=",".join(OWN), help="which of ours (%(default)s)")
    add(
        "--peer",
        type=_peer,
        action="append",
        default=[],
        metavar="NAME=ADAPTER:URL[@PID]",
        help="another service that is running; ADAPTER: native, flaresolverr or flaresolverr-session; repeatable",
    )
    add("--skip-api", action="store_true", help="leave out the cost of the API by itself")
    add("--skip-fetch", action="store_true", help="leave out requests through the cleared browser")
    add("--long", type=int, default=0, metavar="N", help="memory over N fetches, say 20000")
    add(
        "--json",
        type=Path,
        default=ROOT / "benchmarks/results/latest.json",
        metavar="FILE",
        help="where all figures go (benchmarks/results/latest.json)",
    )
    arguments = parser.parse_args()
    names = [*arguments.only, *(peer.name for peer in arguments.peer)]
    if len(set(names)) < len(names):
        parser.error("every contestant needs a name of its own")
    return arguments


def _machine() -> dict[str, Any]:
    asked = subprocess.run([firefox(), "--version"], capture_output=True, text=True, check=True)
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpus": len(os.sched_getaffinity(0)),
        "load_at_start": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "playwright": version("playwright"),
        "firefox": asked.stdout.strip().rsplit(" ", 1)[-1],
    }


def _print_contest(outcome: Outcome) -> None:
    print("\n" + contest_table(rows(outcome.batches)))
    print("\n" + others(outcome.batches))
    for at_once, speed, cpu in guard_cost(outcome.batches):
        print(f"\nthe guard at {at_once} at once: {speed:.3f} of the speed, {cpu:.3f} of the CPU")
    if own := overheads(outcome.batches, "service", outcome.hand_over):
        print("\n" + overhead_table(own))
    left = [(name, str(p), str(f)) for name, (p, f) in outcome.left.items()]
    print("\n" + table(("left behind by", "processes", "files and folders"), left))
    errors = Counter(
        (batch.contestant, solve.error)
        for batch in outcome.batches
        for solve in batch.solves
        if solve.error is not None
    )
    for (name, error), count in errors.most_common():
        print(f"\nFAILED: {name}, {count} times: {error}")


def _run(arguments: argparse.Namespace) -> int:
    machine = _machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    plan = Plan(
        at_once=arguments.at_once,
        rounds=arguments.rounds,
        solves=arguments.solves,
        work=arguments.work,
        only=arguments.only,
        peers=tuple(arguments.peer),
    )
    with tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as folder:
        outcome = asyncio.run(hold(plan, Path(folder)))
    _print_contest(outcome)
    result: dict[str, Any] = {
        "machine": machine,
        "plan": asdict(plan),
        "rows": [asdict(row) for row in rows(outcome.batches)],
        "own_overhead": [
            asdict(item) for item in overheads(outcome.batches, "service", outcome.hand_over)
        ],
        "left_behind": outcome.left,
        "batches": [asdict(batch) for batch in outcome.batches],
    }
    if not arguments.skip_api:
        say("measuring the API by itself")
        figures = asyncio.run(api_cost.measure())
        print("\n" + api_cost.text(figures))
        result["api"] = asdict(figures)
    if not arguments.skip_fetch:
        say("measuring requests through the cleared browser")
        plan_of_fetches = fetch_cost.FetchPlan(peers=plan.peers, long=arguments.long)
        result["fetch"] = fetch_cost.run(plan_of_fetches)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    say(f"all of it as JSON: {arguments.json}")
    return 1 if any(len(b.passed) < len(b.solves) for b in outcome.batches) else 0


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(_run(_arguments()))
