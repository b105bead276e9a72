"""What the compose files allow is enough to work, and what they refuse is refused; without Docker."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.camoufox_bundle import lay_out
from tests.support.namespaces import needs_nft, needs_root
from tests.support.repository import ROOT
from tests.support.service import Service, run_service
from tests.support.solve_client import client_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp.test_utils import TestServer

BOX = ROOT / "tests/support/box.sh"
NETWORK = ROOT / "tests/support/network.sh"


def compose_service(file: str, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())["services"][name]
    return loaded


def tmpfs_of(file: str) -> list[str]:
    mounts: list[str] = compose_service(file, "captcha-bypass")["tmpfs"]
    return mounts


def home_of_image(tmp: Path) -> Path:
    """A home as the Dockerfile makes it, with a Camoufox of the pinned build fetched into it."""
    home = tmp / "home"
    dockerfile = (ROOT / "Dockerfile").read_text()
    made = set(re.findall(r"/home/captcha/(\.[\w./]+)", dockerfile))
    for folder in {*made, "app", "python", "packages"}:
        (home / folder).mkdir(parents=True, exist_ok=True)
    lay_out(home / ".cache/camoufox")
    return home


def box_command(home: Path, tmpfs: list[str], user: str = "1000:0") -> list[str]:
    places = (str(home), sys.base_prefix, sysconfig.get_path("purelib"), str(ROOT))
    unshare = ["unshare", "--mount", "--propagation", "private"]
    return [*unshare, str(BOX), user, *places, *tmpfs, "--"]


#: run_service's command names a Python that the box may hide: what follows it is what counts.
RUN_AS_MODULE = (
    "import runpy, sys; sys.argv[:] = sys.argv[3:]; runpy.run_module(sys.argv[0], {}, '__main__')"
)


@contextmanager
def boxed_service(
    tmp: Path, tmpfs: list[str], *flags: str, user: str = "1000:0"
) -> Iterator[Service]:
    """The service as the container runs it, with Camoufox's own launch code."""
    prefix = [*box_command(home_of_image(tmp), tmpfs, user), "-c", RUN_AS_MODULE]
    module = "tests.support.camoufox_bundle"
    with run_service(tmp, "--workers", "1", *flags, prefix=prefix, module=module) as running:
        yield running


def standing(process_id: int) -> dict[str, str]:
    """What the kernel says a process is and may do."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.browser
@needs_root
@pytest.mark.parametrize(
    ("tmpfs", "headless", "user"),
    [
        (tmpfs_of("docker-compose.yml"), "true", "1000:0"),
        # A user that the image does not know, as OpenShift chooses one.
        (tmpfs_of("compose.hardened.yaml"), "virtual", "1000660000:0"),
        # docker run --read-only --tmpfs /tmp:exec
        (["/tmp:exec,mode=1777"], "true", "1000:0"),
    ],
    ids=["docker-compose.yml", "compose.hardened.yaml, any user", "/tmp alone"],
)
async def test_a_page_is_solved_with_a_read_only_root_and_no_privileges(
    tmp_path: Path, site: TestServer, tmpfs: list[str], headless: str, user: str
) -> None:
    flags = ("--browser", "camoufox", "--headless", headless)
    with boxed_service(tmp_path, tmpfs, *flags, user=user) as boxed:
        async with client_of(boxed) as client:
            await client.until_warm()
            assert (await client.health())[1]["browser"].startswith("camoufox")
            data = await client.solved(url=str(site.make_url("/")), no_challenge=True, timeout=30)
        kernel = standing(boxed.process.pid)
    assert data["status_code"] == 200
    assert not data["timeout_reached"]
    assert set(kernel["Uid"].split()) == {user.partition(":")[0]}
    assert int(kernel["CapBnd"], 16) == 0
    assert kernel["NoNewPrivs"] == "1"


@pytest.mark.browser
@needs_root
def test_the_box_refuses_what_docker_would(tmp_path: Path) -> None:
    """Else the test above proved nothing."""
    tmpfs = ["/tmp:mode=1777", "/home/captcha/.config:mode=1777"]
    tried = """
import os, subprocess
def attempt(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return os.strerror(error.errno)
    return "written"
for path in "/var/tmp/x", "/home/captcha/x", "/home/captcha/app/x", "/tmp/x", "/home/captcha/.config/x":
    print(path, attempt(path))
os.chmod("/tmp/x", 0o755)
try:
    subprocess.run(["/tmp/x"])
except OSError as error:
    print("run", os.strerror(error.errno))
"""
    done = subprocess.run(
        [*box_command(home_of_image(tmp_path), tmpfs), "-c", tried],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "/var/tmp/x Read-only file system",
        "/home/captcha/x Read-only file system",
        "/home/captcha/app/x Read-only file system",
        "/tmp/x written",
        "/home/captcha/.config/x written",
        "run Permission denied",
    ]


#: What may be said of every address before there are rules, and after.
SHIPPED = """\
open: all answer
out 203.0.113.9 answered
out 10.1.2.3 refused
out 169.254.169.254 refused
out 172.30.0.1 refused
out 127.0.0.1 answered
in 8191 answered
in 9000 no answer
"""
#: The example guards one user among others: who comes in is the host's business, and so are its
#: own services, which a browser must not reach on loopback either.
EXAMPLE = SHIPPED.replace("127.0.0.1 answered", "127.0.0.1 refused").replace(
    "no answer", "answered"
)


def example_rules() -> str:
    (rules,) = re.findall(r"```nft\n(.*?)```", (ROOT / "SECURITY.md").read_text(), re.DOTALL)
    return str(rules).replace("skuid != 990 ", "skuid != 0 ")  # the test's own


def shipped_rules() -> str:
    return str(compose_service("compose.hardened.yaml", "firewall")["environment"]["RULES"])


@needs_root
@needs_nft
@pytest.mark.parametrize(
    ("rules", "reached"), [(shipped_rules(), SHIPPED), (example_rules(), EXAMPLE)]
)
def test_the_firewall_refuses_private_addresses_and_lets_public_ones_and_crawlers_pass(
    rules: str, reached: str
) -> None:
    command = ["unshare", "--net", str(NETWORK), sys.executable]
    done = subprocess.run(
        command, input=rules, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == reached, done.stderr
