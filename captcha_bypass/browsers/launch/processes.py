"""The processes of drivers and browsers: found by their marks, measured, and killed for certain."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection, Iterable
from pathlib import Path

import psutil

logger = logging.getLogger(__name__)

#: Environment variable that marks every process of one service; the value is its folder.
INSTANCE_MARK = "CAPTCHA_BYPASS_INSTANCE"
#: Environment variable that marks every process of one browser; the value is a random label.
BROWSER_MARK = "CAPTCHA_BYPASS_BROWSER"
PAGE_BYTES = os.sysconf("SC_PAGESIZE")


def find(mark: str, value: str) -> list[psutil.Process]:
    """Return the processes with `mark=value` in their environment, and all their descendants."""
    marked = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(mark) == value:
                marked.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, a zombie, or somebody else's
    found = {process.pid: process for process in marked}
    for process in marked:
        try:
            # Sandboxed content processes hide their environment: found through their parent.
            found.update({child.pid: child for child in process.children(recursive=True)})
        except psutil.Error:
            continue
    return list(found.values())


def kill(processes: Iterable[psutil.Process]) -> None:
    """Send SIGKILL, which also ends stopped processes; those already gone are fine."""
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue


async def kill_marked(mark: str, value: str, seconds: float = 2.0) -> bool:
    """Kill all processes with that mark until none is left; False if some survived `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while processes := [item for item in find(mark, value) if is_alive(item)]:
        if asyncio.get_running_loop().time() > deadline:
            logger.error("%d processes of a browser cannot be killed", len(processes))
            return False
        kill(processes)
        await asyncio.sleep(0.02)
    return True


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs or is stopped; a zombie is dead."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def marked_child(parent: int, mark: str, value: str) -> psutil.Process:
    """Return the child of `parent` that has `mark=value` in its environment.

    Raises:
        ProcessLookupError: there is none (any more).
    """
    try:
        for child in psutil.Process(parent).children():
            if child.environ().get(mark) == value:
                return child
    except psutil.Error as error:
        raise ProcessLookupError(f"process {parent} or its children are gone") from error
    raise ProcessLookupError(f"process {parent} has no such child")


def weigh_tree(root: psutil.Process) -> int:
    """Return the bytes of memory that a process and its descendants hold.

    Proportional set size: memory that several of them share counts once. Reading it takes some
    10 ms of CPU for a browser, so not on the event loop. Processes that end meanwhile count 0.
    """
    total = 0
    try:
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in processes:
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def resident_trees(roots: Collection[int]) -> dict[int, int]:
    """Return, for each of these processes, the bytes that it and its descendants hold in memory.

    What they share counts for each of them. It takes some milliseconds for all together.
    """
    parents: dict[int, int] = {}
    for pid in psutil.pids():
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            continue
        # The program's name, in brackets, may hold anything; the state and the parent come after it.
        parents[pid] = int(stat[stat.rindex(b")") + 1 :].split()[1])
    totals = dict.fromkeys(roots, 0)
    for pid in parents:
        root = pid
        while root not in totals and root in parents:
            root = parents[root]
        if root in totals:
            totals[root] += _resident(pid)
    return totals


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0
