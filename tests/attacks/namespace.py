"""Runs a module of this package in a network and a mount namespace of its own.

In there nothing but the machine itself exists, so it may have any address: that of a public site,
of a metadata service, of a neighbour. No packet can leave.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from typing import Any

from tests.support.repository import ROOT

#: The namespaces that the module gets, itself being the first process of them.
_UNSHARE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


@functools.cache
def unshare() -> list[str] | None:
    """Return the command that makes the namespaces; None where the kernel forbids it."""
    commands = [_UNSHARE, [*_UNSHARE, "--map-root-user"]]
    for command in commands[os.geteuid() != 0 :]:
        probe = [*command, "sh", "-c", "ip link set lo up && mount --bind /etc/hosts /etc/hosts"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return command
    return None


def run_inside(module: str, *arguments: str, seconds: float) -> Any:  # noqa: ANN401 - its JSON
    """Run `module` in namespaces of its own and return what it prints as JSON.

    It dies, with all that it started, when it takes longer.
    """
    command = unshare()
    assert command is not None
    done = subprocess.run(
        [*command, sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)
