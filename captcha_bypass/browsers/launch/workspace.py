"""The folder that one service keeps its browsers' files in, and clearing what dead services left.

Nothing of ours survives, whatever died first. Three layers, each enough for its own case:

- Driver and browsers start under `PR_SET_PDEATHSIG` (by `setpriv`): the kernel kills them when
  their parent dies, also when the parent was killed -9 or the driver is frozen.
- Every process carries marks in its environment, so a browser can be found and killed by its
  mark even if the launch that started it never came back; see processes.
- Each service keeps its temporary files in a folder of its own, locked while it lives. The next
  service clears the folders whose lock is free, and the processes marked with them.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shlex
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from captcha_bypass.browsers.launch import folders
from captcha_bypass.browsers.launch.processes import BROWSER_MARK, INSTANCE_MARK, find, kill
from captcha_bypass.errors import StartupError

logger = logging.getLogger(__name__)

#: Playwright sets it for every Firefox, which then quits as a whole when one of its content
#: processes dies. Without it, only the page of that process is lost.
UNWANTED = "MOZ_CRASHREPORTER_SHUTDOWN"
#: How the names of services' folders begin, before and after they are locked.
NOT_YET_LOCKED, LOCKED = "new-", "service-"
#: Of a script: the profile is the word after -profile. Without the link it starts all the same.
_LINK = """last=
for word; do
  case $last in -profile | --profile) ln -s {} "$word/chrome" ;; esac
  last=$word
done
"""


class Workspace:
    """The folder one service keeps its browsers' files in, locked while it lives.

    Used as `with Workspace() as workspace`. Entering clears what dead services left; leaving
    kills every process marked with this folder and removes it.

    Args:
        base: Where the folders of all services of this user stand, a folder that nobody else may
            write to; default: see folders.temporary_base.

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
        base = self._given or folders.temporary_base()
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
        self._home = folders.home_variables(os.environ, self.path / "home")

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

    def wrap(
        self, executable: Path, name: str, *, chrome: Path | None = None, **variables: str
    ) -> Path:
        """Make a script that runs `executable` marked as ours and dies with its parent.

        It sets `variables` in its environment.

        Args:
            chrome: Folder with the styles of Firefox's own windows (userChrome.css), for the profile
                that the script is given.

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
        link = _LINK.format(shlex.quote(str(chrome))) if chrome else ""
        script.write_text(
            f"#!/bin/sh\nexport {exports}\nunset {UNWANTED}\n{link}"
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
