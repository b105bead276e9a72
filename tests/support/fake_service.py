"""The service as a process of its own, with the fake Juggler peer for its browser.

It costs a tenth of one with a Firefox: for what the service does whatever its browser is. Run as a program
it is the service with Camoufox, but for its package's `launch_options`, which start the peer.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from captcha_bypass.cli import main
from tests.support.fleet_node import hurried
from tests.support.juggler import REAL, beside, lay_out_peer, messages
from tests.support.service import Service, run_service

#: What tells the program its lease.
LEASE = "TEST_LEASE_SECONDS"
#: A page of the peer, whose source is TEXT; only a condition without a text is ever met on it.
URL, TEXT = "http://fake.test/ok", "fake page"
#: A page for which no other condition is asked.
PAGE = {"url": URL, "no_challenge": True, "timeout": 20}
#: One that is open until its time is up.
LASTING = {"url": URL, "success_text": "never"}


def program(tmp: Path) -> Path:
    """Return the program that the service of that folder starts as its browser."""
    (found,) = tmp.glob(".cache/camoufox/browsers/*/*/camoufox-bin")
    return found


def opened(service: Service) -> list[str]:
    """Return the addresses that its pages were sent to, in order."""
    told = messages(service.tmp)
    return [each["params"]["url"] for each in told if each["method"] == "Page.navigate"]


@contextmanager
def run_fake_service(
    tmp: Path, *flags: str, ready: bool = True, lease: float | None = None
) -> Iterator[Service]:
    """Start it as `run_service` does; what the peer was sent is in `tmp`, which is its HOME too.

    Args:
        lease: Seconds after which a node of its fleet counts as dead, in place of the real ones.
    """
    tmp.mkdir(exist_ok=True)
    lay_out_peer(tmp / ".cache/camoufox", tmp)
    own = ("--browser", "camoufox", *flags)
    env = {} if lease is None else {LEASE: str(lease)}
    with run_service(tmp, *own, module=__name__, ready=ready, env=env) as running:
        yield running


def _main() -> None:
    more = beside(program(Path(os.environ["HOME"])))

    def launch_options(**own: Any) -> dict[str, Any]:  # noqa: ANN401 - the package's own
        # It prints all that this bundle does not know, and nobody reads a service's output.
        with redirect_stdout(io.StringIO()):
            drawn: dict[str, Any] = REAL(**own, **more)
        return drawn

    lease = float(os.environ.get(LEASE, "0"))
    with patch("camoufox.utils.launch_options", launch_options), hurried(lease):
        main(sys.argv[1:])


if __name__ == "__main__":
    _main()
