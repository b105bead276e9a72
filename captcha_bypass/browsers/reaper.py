"""Process trees and folders: nothing of ours survives, whatever died first.

Three layers, each enough for its own case:

- Driver and browsers start under `PR_SET_PDEATHSIG` (by `setpriv`): the kernel kills them when
  their parent dies, also when the parent was killed -9 or the driver is frozen.
- Every process carries marks in its environment, so a browser can be found and killed by its
  mark even if the launch that started it never came back.
- Each service keeps its temporary files in a folder of its own, locked while it lives. The next
  service clears the folders whose lock is free, and the processes marked with them.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import shlex
import shutil
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from captcha_bypass.browsers import places
from captcha_bypass.errors import StartupError

logger = logging.getLogger(__name__)

#: Environment variable that marks every process of one service; the value is its folder.
INSTANCE_MARK = "CAPTCHA_BYPASS_INSTANCE"
#: Environment variable that marks every process of one browser; the value is a random label.
BROWSER_MARK = "CAPTCHA_BYPASS_BROWSER"
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
#: Playwright sets it for every Firefox, which then quits as a whole when one of its content
#: processes dies. Without it, only the page of that process is lost.
UNWANTED = "MOZ_CRASHREPORTER_SHUTDOWN"
#: How the names of services' folders begin, before and after they are locked.
NOT_YET_LOCKED, LOCKED = "new-", "service-"


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


class Workspace:
    """The folder one service keeps its browsers' files in, locked while it lives.

    Used as `with Workspace() as workspace`. Entering clears what dead services left; leaving
    kills every process marked with this folder and removes it.

    Args:
        base: Where the folders of all services of this user stand, a folder that nobody else may
            write to; default: see places.temporary_base.

    Raises:
        StartupError: on entering; no folder can be made, or none where programs can be run.
    """

    def __init__(self, base: Path | None = None) -> None:
        self._given = base
        self._lock: int | None = None
        self._home: dict[str, str] = {}
        #: The folder, once entered.
        self.path = Path()

    def __enter__(self) -> Self:
        base = self._given or places.temporary_base()
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep(base)
        try:
            self._make(base)
        except OSError as error:
            reason = f"{error.filename or base} cannot be written to: {error.strerror}"
            raise StartupError(f"{reason}; set TMPDIR to another folder.") from error
        return self

    def _make(self, base: Path) -> None:
        """Make this service's folder; no other service may see it before it is locked."""
        new = Path(tempfile.mkdtemp(prefix=NOT_YET_LOCKED, dir=base))
        self._lock = _try_lock(new)
        self.path = new.rename(base / new.name.replace(NOT_YET_LOCKED, LOCKED, 1))
        self._home = places.home_variables(os.environ, self.path / "home")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._clear(self.path)
        if self._lock is not None:
            os.close(self._lock)

    def environment(self, label: str | None = None) -> dict[str, str]:
        """Return the variables that mark a process as ours, and as browser `label`'s.

        They also say where it may write: its temporary files, and where the user has no home that
        can be written to, one of the service's own.
        """
        marks = {INSTANCE_MARK: str(self.path), "TMPDIR": str(self.path), **self._home}
        return marks if label is None else {**marks, BROWSER_MARK: label}

    def wrap(self, executable: Path, name: str, **variables: str) -> Path:
        """Make a script that runs `executable` marked as ours and dies with its parent.

        It sets `variables` in its environment.

        Without `setpriv` (it is part of util-linux) the marks remain, and the next start clears
        what a kill -9 leaves.
        """
        script = self.path / name
        if script.exists():
            return script  # rewriting it could fail a launch that executes it right now
        variables |= self.environment()
        exports = " ".join(f"{key}={shlex.quote(val)}" for key, val in variables.items())
        setpriv = shutil.which("setpriv")
        prefix = f"{setpriv} --pdeathsig KILL -- " if setpriv else ""
        script.write_text(
            f"#!/bin/sh\nexport {exports}\nunset {UNWANTED}\n"
            f'exec {prefix}{shlex.quote(str(executable))} "$@"\n'
        )
        script.chmod(0o700)
        return script

    def clear_leftovers(self, in_use: Collection[Path]) -> None:
        """Remove the folders of browsers but for the profiles in use; only while none starts.

        Playwright removes a browser's folders itself, but not always where it was killed. Its
        artifacts are downloads, videos and traces: we make none, so those folders are empty.
        """
        for folder in self.path.glob("playwright*"):
            if folder not in in_use:
                shutil.rmtree(folder, ignore_errors=True)

    def _sweep(self, base: Path) -> None:
        for folder in base.glob(f"{LOCKED}*"):
            lock = _try_lock(folder)
            if lock is None:
                continue  # its service is alive, or just gone
            logger.info("clearing what a dead service left in %s", folder)
            self._clear(folder)
            os.close(lock)

    def _clear(self, folder: Path) -> None:
        processes = find(INSTANCE_MARK, str(folder))
        kill(processes)
        psutil.wait_procs(processes, timeout=2)
        shutil.rmtree(folder, ignore_errors=True)


def _try_lock(folder: Path) -> int | None:
    """Lock a service's folder; None while another holds it. The kernel frees it with its owner.

    The folder itself and no file in it: what tidies old files up (systemd-tmpfiles) heeds that, and
    there is nothing that could be missing while the rest is there.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
