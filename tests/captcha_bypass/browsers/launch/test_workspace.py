"""Where a service keeps its files: nobody else's folder, its own home, a place where programs run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from captcha_bypass.browsers.launch import folders
from captcha_bypass.browsers.launch.workspace import LOCKED, NOT_YET_LOCKED, Workspace
from captcha_bypass.errors import StartupError
from tests.support.namespaces import needs_root
from tests.support.service import run_service
from tests.support.solve_client import client_of

NAME = f"captcha-bypass-{os.getuid()}"


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder that other users may write to."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


# What others left there


def plant_link(at: Path, precious: Path) -> None:
    at.symlink_to(precious.parent.parent)


def plant_dangling_link(at: Path, precious: Path) -> None:
    at.symlink_to(at.parent / "nothing")


def plant_file(at: Path, precious: Path) -> None:
    at.write_text("")


def plant_folder_of_another_user(at: Path, precious: Path) -> None:
    at.mkdir(mode=0o777)
    os.chown(at, 61235, 61235)


@needs_root
@pytest.mark.parametrize(
    "plant", [plant_link, plant_dangling_link, plant_file, plant_folder_of_another_user]
)
def test_what_others_left_at_our_name_is_neither_followed_nor_in_the_way(
    tmp_path: Path, shared: Path, plant: object
) -> None:
    precious = tmp_path / "projects/service-billing/source.py"
    precious.parent.mkdir(parents=True)
    precious.write_text("precious")
    assert callable(plant)
    plant(shared / NAME, precious)
    with Workspace() as first, Workspace() as second:
        for workspace in (first, second):
            base = workspace.path.parent
            assert base.parent == shared
            assert base.name.startswith(f"{NAME}-")
            assert base.stat().st_mode & 0o777 == 0o700
        # Found again, so that the next service clears what a dead one left.
        assert second.path.parent == first.path.parent
    assert precious.read_text() == "precious"


def test_our_own_folder_is_made_for_us_alone(shared: Path) -> None:
    (shared / NAME).mkdir(mode=0o777)
    with Workspace() as workspace:
        assert workspace.path.parent == shared / NAME
        assert (shared / NAME).stat().st_mode & 0o777 == 0o700
    assert list((shared / NAME).iterdir()) == []


# Several services


def test_a_folder_is_not_seen_before_it_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another service sweeps at the worst moment: between making a folder and locking it."""
    others: list[Path] = []
    mkdtemp = tempfile.mkdtemp

    def and_another_starts(**options: str) -> str:
        made = mkdtemp(**options)
        if not others:
            others.append(Path(made))
            with Workspace(tmp_path) as other:
                others.append(other.path)
        return made

    monkeypatch.setattr(tempfile, "mkdtemp", and_another_starts)
    with Workspace(tmp_path) as workspace:
        assert workspace.path.is_dir()
        assert workspace.path.name == others[0].name.replace(NOT_YET_LOCKED, LOCKED)
        with Workspace(tmp_path):
            assert workspace.path.is_dir()


def test_what_a_dead_service_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / "service-dead"
    (left / "playwright_profile/x").mkdir(parents=True)
    with Workspace(tmp_path):
        assert not left.exists()


def test_folder_is_kept_when_old_files_in_it_have_been_tidied_up(tmp_path: Path) -> None:
    with Workspace(tmp_path) as workspace:
        for file in workspace.path.iterdir():
            file.unlink()
        with Workspace(tmp_path):
            assert workspace.path.is_dir()
        held = subprocess.run(
            ["flock", "--nonblock", "-E", "9", workspace.path, "true"], check=False
        )
        assert held.returncode == 9  # as systemd-tmpfiles asks


def test_link_in_our_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/service-x").symlink_to(tmp_path / "elsewhere")
    with Workspace(tmp_path / "ours"):
        assert (tmp_path / "elsewhere").is_dir()


# A home


def env_of(tmp_path: Path, home: Path, **more: str) -> dict[str, str]:
    return folders.home_variables({"HOME": str(home), **more}, tmp_path / "ours")


def test_home_that_can_be_written_to_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".cache").mkdir(parents=True)
    assert env_of(tmp_path, home) == {}
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize("folder", ["", ".config", ".cache", ".cache/mozilla", ".mozilla"])
@needs_root
def test_home_of_which_a_part_cannot_be_written_to_is_replaced(tmp_path: Path, folder: str) -> None:
    home = tmp_path / "home"
    (home / folder).mkdir(parents=True)
    tried = f"""
import os, sys
from pathlib import Path
from captcha_bypass.browsers.launch.folders import home_variables
os.chown(sys.argv[1], 65534, 65534)
for place, _, _ in os.walk(sys.argv[2]):
    os.chown(place, 65534, 65534)
os.chown(os.path.join(sys.argv[2], {folder!r}), 0, 0)
os.setuid(65534)
print(*home_variables({{"HOME": sys.argv[2]}}, Path(sys.argv[1]) / "ours").values())
"""
    # A folder that another user may go through to; pytest's own is for its user alone.
    with tempfile.TemporaryDirectory() as outside:
        Path(outside).chmod(0o755)
        moved = home.rename(Path(outside) / "home")
        done = subprocess.run(
            [sys.executable, "-c", tried, outside, str(moved)],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    ours = f"{outside}/ours"
    shown = [ours, *(f"{ours}/{n}" for n in (".config", ".cache", ".local/share", ".local/state"))]
    assert done.stdout.split() == shown


def test_user_without_a_home_gets_one_for_the_browsers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    with Workspace(tmp_path) as workspace:
        variables = workspace.environment("a")
        assert Path(variables["HOME"]).parent == workspace.path
        assert Path(variables["HOME"]).is_dir()
        shown = "import os; print(os.environ['HOME'], os.environ['XDG_CACHE_HOME'])"
        script = workspace.wrap(Path(sys.executable), "python")
        done = subprocess.run([script, "-c", shown], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [variables["HOME"], variables["XDG_CACHE_HOME"]]
    assert not workspace.path.exists()


@pytest.mark.parametrize("flag", ["-profile", "--profile"])
def test_profile_that_a_script_is_given_gets_the_styles_of_the_windows(
    tmp_path: Path, flag: str
) -> None:
    styles = tmp_path / "it's styles"
    styles.mkdir()
    (styles / "userChrome.css").write_text("* {}")
    profile = tmp_path / "a profile"
    profile.mkdir()
    with Workspace(tmp_path / "base") as workspace:
        script = workspace.wrap(Path("/bin/echo"), "echo", chrome=styles)
        done = subprocess.run(
            [script, "-x", flag, profile], capture_output=True, text=True, check=True
        )
    assert done.stdout == f"-x {flag} {profile}\n"
    assert (profile / "chrome" / "userChrome.css").read_text() == "* {}"


# Places where programs do not run


@pytest.fixture
def noexec(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Folders that count as mounted noexec."""
    folders: set[str] = set()
    real = os.statvfs

    class Noexec:
        f_flag = os.ST_NOEXEC

    def statvfs(path: Path) -> object:
        return Noexec() if str(path) in folders else real(path)

    monkeypatch.setattr(os, "statvfs", statvfs)
    return folders


def test_another_place_serves_where_programs_do_not_run_in_tmpdir(
    tmp_path: Path, shared: Path, noexec: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "OTHER_ROOTS", (tmp_path / "none", tmp_path))
    noexec.add(str(shared))
    with Workspace() as workspace:
        assert workspace.path.parent.parent == tmp_path
        assert subprocess.call([workspace.wrap(Path("/bin/true"), "true")]) == 0


@pytest.mark.parametrize("set_to", ["{}/./shared/", "{}/shared/../shared", "{}/none"])
def test_tmpdir_that_cannot_be_written_to_is_told(
    tmp_path: Path,
    shared: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    set_to: str,
) -> None:
    monkeypatch.setenv("TMPDIR", set_to.format(tmp_path))
    with Workspace() as workspace:
        assert workspace.path.parent.parent == shared
    told = [line for line in caplog.messages if line.startswith("TMPDIR (")]
    assert len(told) == set_to.endswith("none")


def test_no_such_place_ends_the_start_with_a_remedy(
    shared: Path, noexec: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(folders, "OTHER_ROOTS", ())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    noexec.add(str(shared))
    with pytest.raises(StartupError, match=r"noexec.*set TMPDIR.*:exec"), Workspace():
        pass


def test_folder_that_cannot_be_made_ends_the_start_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**options: str) -> str:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with (
        pytest.raises(StartupError, match="No space left on device; set TMPDIR"),
        Workspace(tmp_path),
    ):
        pass


# The whole service


@pytest.mark.browser
@needs_root
async def test_a_page_is_solved_for_a_user_without_home_whose_tmpdir_runs_no_programs(
    tmp_path: Path, site: TestServer
) -> None:
    """As a system user has it on a machine with hardened mounts."""
    mounted = 'mount -t tmpfs -o noexec,mode=1777 tmpfs /mnt && exec "$@"'
    prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounted, "sh"]
    env = {"HOME": "/nonexistent", "TMPDIR": "/mnt"}
    with run_service(tmp_path, "--workers", "1", env=env, prefix=prefix) as service:
        async with client_of(service) as client:
            await client.until_warm()
            url = str(site.make_url("/"))
            data = await client.solved(url=url, no_challenge=True, timeout=30)
        assert data["status_code"] == 200
        assert "/mnt is mounted noexec: using /var/tmp in its place" in service.log
        assert "no home to write to (/nonexistent)" in service.log
