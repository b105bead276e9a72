"""Checks Camoufox where it can be had, and writes a table and a report to attach to a bug.

`python -m tests.verify [--browser camoufox] [--images] [--online] [--report FILE]`. It starts a
service and sites of its own on loopback and stops them. Exit code 1: a check failed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.support.service import run_service
from tests.support.solve_client import client_of
from tests.verify import fetching, image, machine, network
from tests.verify.kit import CHECKS, Bench, Report, Site, run

#: Imported for the checks that they register.
PARTS = (fetching, image, machine, network)

#: Lines of the service's log that go into the report.
LOG_LINES = 400


async def verify(arguments: argparse.Namespace, folder: Path) -> Report:
    """Make all checks, one after the other, against one service."""
    packages = ("camoufox", "playwright", "captcha-bypass")
    versions = {name: version(name) for name in packages} | {"python": platform.python_version()}
    report = Report(arguments.browser, versions)
    # Camoufox stands in the user's own cache.
    home = {"HOME": os.environ["HOME"]} if arguments.browser == "camoufox" else {}
    flags = ("--browser", arguments.browser, "--workers", "4", "--max-timeout", "120")
    with run_service(folder, *flags, "--max-per-host", "0", env=home) as service:
        async with client_of(service) as client, Site() as site:
            await client.until_warm()
            versions["browser"] = (await client.health())[1]["browser"]
            bench = Bench(
                arguments.browser,
                arguments.quick,
                arguments.online,
                arguments.images,
                service,
                client,
                site,
            )
            for number, title, function in sorted(CHECKS, key=lambda item: item[0]):
                if arguments.only and number not in arguments.only:
                    continue
                report.rows.append(await run(number, title, function, bench))
                print(report.table().splitlines()[-1], flush=True)
        report.log = service.log.splitlines()[-LOG_LINES:]
    return report


def main() -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.verify", description=__doc__)
    parser.add_argument("--browser", choices=("camoufox", "firefox"), default="camoufox")
    parser.add_argument("--images", action="store_true", help="build and run images (Docker)")
    parser.add_argument("--online", action="store_true", help="also open real sites")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of checks")
    parser.add_argument("--report", type=Path, default=Path("verify-report.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="captcha-bypass-verify-") as folder:
        report = asyncio.run(verify(arguments, Path(folder)))
    arguments.report.write_text(report.document())
    failed = sum(row.result == "FAIL" for row in report.rows)
    print(f"{failed} failed; {arguments.report} has all of it, with versions: {report.versions}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
