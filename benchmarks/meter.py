"""CPU time, memory and number of processes of a process tree, those that ended included. Linux."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

#: Seconds between two looks at the tree; a process is missed only if it starts another, ends and
#: orphans it between two looks.
CPU_EVERY = 0.05
#: Seconds between two readings of the memory, and the most they may take of one CPU: a reading
#: costs about 2 ms per process, and must not slow down those with many processes more than others.
PSS_EVERY = 0.5
PSS_SHARE = 0.05

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")

#: A process for certain: ids are used again, an id with a start time is not.
_Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    started: int
    parent: int
    zombie: bool
    own: float
    """CPU seconds of the process itself."""
    reaped: float
    """CPU seconds of its children that ended and were waited for, and of theirs."""

    @property
    def key(self) -> _Key:
        return self.pid, self.started


def _read(pid: int) -> _Process | None:
    """Return the process as it is now, or None if there is none."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name, in brackets, may hold spaces and brackets itself.
    fields = text[text.rindex(")") + 2 :].split()
    user, system, child_user, child_system = (int(field) for field in fields[11:15])
    return _Process(
        pid=pid,
        started=int(fields[19]),
        parent=int(fields[1]),
        zombie=fields[0] in "ZX",
        own=(user + system) / _TICK,
        reaped=(child_user + child_system) / _TICK,
    )


class ProcessTree:
    """A process and all that descends from it, however it is adopted later.

    The kernel adds the times of an ended process to the parent that waits for it. So the tree's
    time is what its living members hold, plus what ended where no member waited for it.
    """

    def __init__(self, root: int) -> None:
        found = _read(root)
        if found is None:
            raise ProcessLookupError(f"there is no process {root}")
        self._members: dict[_Key, _Process] = {found.key: found}
        # Looked at once and not part of the tree; they cannot become part of it later.
        self._strangers: set[int] = set()
        self._lost = 0.0

    @property
    def cpu(self) -> float:
        """CPU seconds up to the last `look()`, from some start: only differences mean something."""
        return self._lost + sum(p.own + p.reaped for p in self._members.values())

    @property
    def alive(self) -> list[int]:
        """The ids of the members as of the last `look()`, without zombies."""
        return [p.pid for p in self._members.values() if not p.zombie]

    def look(self) -> None:
        """Find the members of now and add up the times of those that ended."""
        pids = {int(name) for name in os.listdir(_PROC) if name.isdigit()}  # noqa: PTH208 - hot
        self._strangers &= pids
        found = {p.pid: p for pid in sorted(pids - self._strangers) if (p := _read(pid))}
        members = {p.key: p for p in found.values() if p.key in self._members}
        unknown = [p for p in found.values() if p.key not in members]
        parents = {p.pid for p in members.values()}
        while new := [p for p in unknown if p.parent in parents]:
            members.update((p.key, p) for p in new)
            parents = {p.pid for p in new}
            unknown = [p for p in unknown if p.key not in members]
        self._strangers.update(p.pid for p in unknown)
        self._lost += self._unaccounted(members)
        self._members = members

    def _unaccounted(self, members: dict[_Key, _Process]) -> float:
        """Return the seconds of ended processes that no living member has been credited with."""
        before = {p.pid: p for p in self._members.values()}
        due: dict[_Key | None, float] = {}
        for ended in (p for key, p in self._members.items() if key not in members):
            heir = before.get(ended.parent)
            while heir is not None and heir.key not in members:
                heir = before.get(heir.parent)
            key = None if heir is None else heir.key
            due[key] = due.get(key, 0.0) + ended.own + ended.reaped
        lost = due.pop(None, 0.0)
        for key, seconds in due.items():
            if key is not None:
                credited = members[key].reaped - self._members[key].reaped
                lost += max(0.0, seconds - credited)
        return lost

    def pss(self) -> int | None:
        """Return the members' proportional set sizes in bytes; None if they may not be read."""
        total = 0
        for pid in self.alive:
            try:
                text = (_PROC / str(pid) / "smaps_rollup").read_text()
            except PermissionError:
                return None
            except OSError:
                continue  # it has just ended
            total += sum(
                int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")
            )
        return total


def _busy() -> float:
    """Return the CPU seconds that all processes of the machine have used."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


class Meter:
    """Watches a tree from a thread for as long as the block lasts; its numbers are for afterwards.

    `None` as the tree: the numbers are None.
    """

    def __init__(self, tree: ProcessTree | None) -> None:
        self._tree = tree
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.cpu: float | None = None
        #: CPUs kept busy, on average, by all processes outside the tree.
        self.others: float | None = None
        self.peak_pss: int | None = None
        self.peak_processes: int | None = None

    def __enter__(self) -> Self:
        if self._tree is not None:
            self._tree.look()
            self._start = time.monotonic(), self._tree.cpu, _busy()
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._tree is not None:
            self._stop.set()
            self._thread.join()
            self._tree.look()
            began, cpu, busy = self._start
            self.cpu = self._tree.cpu - cpu
            self.others = max(0.0, _busy() - busy - self.cpu) / (time.monotonic() - began)

    def _watch(self) -> None:
        assert self._tree is not None  # noqa: S101 - the thread is started only then
        next_pss = 0.0
        while True:
            self._tree.look()
            self.peak_processes = max(self.peak_processes or 0, len(self._tree.alive))
            if time.monotonic() >= next_pss:
                start = time.thread_time()
                pss = self._tree.pss()
                cost = time.thread_time() - start
                next_pss = time.monotonic() + max(PSS_EVERY, cost / PSS_SHARE)
                self.peak_pss = self.peak_pss if pss is None else max(self.peak_pss or 0, pss)
            if self._stop.wait(CPU_EVERY):
                return


def left_behind(tree: ProcessTree, folder: Path) -> tuple[int, int]:
    """Count what a stopped contestant left: processes, and files and folders in its TMPDIR.

    Processes are those seen in its tree, and those that carry the folder in their environment.
    """
    tree.look()
    pids = set(tree.alive)
    for process in psutil.process_iter():
        try:
            marked = process.environ().get("TMPDIR", "").startswith(str(folder))
            if marked and process.status() != psutil.STATUS_ZOMBIE:
                pids.add(process.pid)
        except psutil.Error:
            continue  # ended meanwhile, or somebody else's
    return len(pids), sum(1 for _ in folder.rglob("*"))
