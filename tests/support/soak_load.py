"""What a soak sends: a mixture of tasks, how each must end, and what is done to their browsers."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aiohttp.test_utils import TestServer

from demo.challenge_pages import SUCCESS_TEXT
from tests.support.fire import contents, hit, parents
from tests.support.service import Service
from tests.support.solve_client import Client, Json

#: A browser is killed each so many tasks.
TASKS_PER_KILL = 100
#: Seconds around a kill in which a task may end by it.
KILL_SECONDS = 5.0


def _solved(view: Json) -> bool:
    return view["status"] == "completed" and not view["data"]["timeout_reached"]


def _timed_out(view: Json) -> bool:
    return view["status"] == "completed" and bool(view["data"]["timeout_reached"])


def _no_page(view: Json) -> bool:
    return view["status"] == "error" and bool(view["error"]["code"] == "not_a_page")


def _gone(view: Json) -> bool:
    return bool(view["status"] == "not_found")


@dataclass(frozen=True)
class Job:
    """A task, and how it ends if all is well."""

    kind: str
    url: str
    text: str
    timeout: float
    is_expected: Callable[[Json], bool]
    #: Deleted after so many seconds, if at all.
    cancel_after: float | None = None

    @property
    def ends_by_kill(self) -> set[str]:
        """Codes that it may end with as its browser is killed: it starts again, if there is time."""
        late = {"browser_unavailable"} if self.timeout <= KILL_SECONDS else set()
        return {"browser_crashed", *late}


#: Pages that end nothing: a task on them times out.
HARD = ("spin", "reload", "alerts", "popups", "drip", "silent")
#: Addresses that are no page.
PAGELESS = ("download", "empty")
#: Plain pages, and a text on each.
PLAIN = {
    "plain": "plain page",
    "late": "late words",
    "shadow": "shadow words",
    "meta": "plain page",
}


def jobs(draw: random.Random, number: int, site: TestServer, hard: TestServer) -> Iterator[Job]:
    """Yield so many tasks: most are quick, one in ten times out, one in twenty is cancelled."""
    for n in range(number):
        share = draw.random()
        if share < 0.50:
            url = str(site.make_url(f"/page/{n}"))
            yield Job("challenge", url, SUCCESS_TEXT, 30, _solved)
        elif share < 0.82:
            page = draw.choice(list(PLAIN))
            yield Job("plain", str(hard.make_url(f"/{page}")), PLAIN[page], 30, _solved)
        elif share < 0.87:
            yield Job("timeout", str(hard.make_url("/plain")), "never", 2, _timed_out)
        elif share < 0.92:
            page = draw.choice([*HARD, "plain"])
            moment = draw.uniform(0, 2)
            yield Job("cancel", str(hard.make_url(f"/{page}")), "never", 30, _gone, moment)
        elif share < 0.98:
            url = str(hard.make_url(f"/{draw.choice(HARD)}"))
            yield Job("hard", url, "never", 3, _timed_out)
        else:
            url = str(hard.make_url(f"/{draw.choice(PAGELESS)}"))
            yield Job("no page", url, "never", 30, _no_page)


@dataclass
class Load:
    """Sends jobs from several clients at once and keeps the score."""

    service: Service
    client: Client
    draw: random.Random
    #: Called with the number of ended tasks, each time one has ended.
    after_each: Callable[[int], None]
    outcomes: Counter[str] = field(default_factory=Counter)
    #: How tasks ended that should have ended otherwise.
    surprises: list[str] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    ended: int = 0

    async def run(self, todo: Iterator[Job], clients: int) -> None:
        """Run all jobs, so many at a time."""

        async def one_after_the_other() -> None:
            for job in todo:
                await self._run(job)

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(one_after_the_other())

    async def _run(self, job: Job) -> None:
        started = time.monotonic()
        task = await self.client.submit(url=job.url, success_text=job.text, timeout=job.timeout)
        if job.cancel_after is not None:
            await asyncio.sleep(job.cancel_after)
            await self.client.delete(task)
        view = await self.client.finished(task)
        self._count(job, view, started)
        self.ended += 1
        if self.ended % TASKS_PER_KILL == TASKS_PER_KILL // 2:
            self._kill()
        self.after_each(self.ended)

    def _count(self, job: Job, view: Json, started: float) -> None:
        code = view["error"]["code"] if view.get("error") else None
        if job.is_expected(view):
            self.outcomes[job.kind] += 1
        elif code in job.ends_by_kill and self._killed_since(started - KILL_SECONDS):
            self.outcomes["crashed by us"] += 1
        else:
            self.outcomes["unexpected"] += 1
            ended = f"{view['status']} {code}"
            if view.get("data"):
                ended += f", timeout reached: {view['data']['timeout_reached']}"
            now = time.monotonic()
            kills = ", ".join(f"{now - kill:.1f} s ago" for kill in self.kills[-2:]) or "never"
            self.surprises.append(
                f"{job.kind} {job.url}: {ended} after {now - started:.1f} s; last kills: {kills}"
            )

    def _killed_since(self, moment: float) -> bool:
        return any(kill >= moment for kill in self.kills)

    def _kill(self) -> None:
        """Kill a browser's main process, or one of its content processes."""
        victims = parents(self.service)
        if victims and self.draw.random() < 0.5:
            victims = contents(self.draw.choice(victims))
        if victims:
            hit([self.draw.choice(victims)])
            self.kills.append(time.monotonic())
