"""Where browsers may write: a temporary folder that is ours alone, and a home."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from captcha_bypass.errors import StartupError

logger = logging.getLogger(__name__)

#: Where the folders of services may stand if programs in the temporary folder cannot be run.
OTHER_ROOTS = (Path("/var/tmp"), Path("/dev/shm"))  # noqa: S108 - opened as `_is_ours` does


def temporary_base() -> Path:
    """Return a folder that only this user may write to, for the folders of all its services.

    It stands where programs may be run, and has a name that the next service finds again; where
    somebody else has that name, another one.

    Raises:
        StartupError: there is no such place; the message says what to do.
    """
    try:
        first = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        message = f"{error.strerror}; set TMPDIR to a folder that can be written to."
        raise StartupError(message) from None
    wanted = os.environ.get("TMPDIR")
    if wanted and str(first) != os.path.abspath(wanted):  # noqa: PTH100 - as gettempdir does
        logger.warning("TMPDIR (%s) cannot be written to: using %s in its place", wanted, first)
    for root in (first, *OTHER_ROOTS, _cache(os.environ)):
        if root is not None and _runs_programs(root):
            if root != first:
                logger.warning("%s is mounted noexec: using %s in its place", first, root)
            return _base_in(root)
    raise StartupError(
        f"{first} is mounted noexec, and the scripts that start browsers must run there; set TMPDIR "
        "to a folder where programs may run (Docker: --tmpfs /tmp:exec)."
    )


def _runs_programs(root: Path) -> bool:
    """Whether files can be made in a folder, and run."""
    try:
        noexec = os.statvfs(root).f_flag & os.ST_NOEXEC
        return not noexec and _is_folder(root, os.W_OK | os.X_OK)
    except OSError:
        return False


def _base_in(root: Path) -> Path:
    base = root / f"captcha-bypass-{os.getuid()}"
    try:
        with suppress(FileExistsError):
            base.mkdir(mode=0o700)
        for folder in (base, *sorted(root.glob(f"{base.name}-*"))):
            if _is_ours(folder):
                return folder
        private = Path(tempfile.mkdtemp(prefix=f"{base.name}-", dir=root))
    except OSError as error:
        reason = f"{error.filename or root} cannot be made: {error.strerror}"
        raise StartupError(f"{reason}; set TMPDIR to a folder that can be written to.") from None
    logger.warning("%s is not a folder of this user: using %s in its place", base, private)
    return private


def _is_ours(folder: Path) -> bool:
    """Whether this is a folder of this user's, which is made to be for the user alone.

    A symbolic link is none: whoever may write to the folder above could have left it.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            return False
        os.fchmod(descriptor, 0o700)
        return True
    finally:
        os.close(descriptor)


def home_variables(environ: Mapping[str, str], substitute: Path) -> dict[str, str]:
    """Return the variables that give a browser a home: none if the user's own will do.

    Args:
        environ: What the browser inherits.
        substitute: A folder, made if it is needed.
    """
    refused = next(_refused(environ), None)
    if refused is None:
        return {}
    logger.info("no home to write to (%s): browsers get one in %s", refused, substitute)
    substitute.mkdir(mode=0o700, exist_ok=True)
    return {
        "HOME": str(substitute),
        "XDG_CONFIG_HOME": str(substitute / ".config"),
        "XDG_CACHE_HOME": str(substitute / ".cache"),
        "XDG_DATA_HOME": str(substitute / ".local/share"),
        "XDG_STATE_HOME": str(substitute / ".local/state"),
    }


def _refused(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the folders of a home that Firefox and Camoufox need and cannot have."""
    home = _home(environ)
    if home is None or not _is_folder(home, os.X_OK):
        yield home or Path("HOME is not set")
        return
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    # Without these Firefox hangs while it starts. Where ~/.mozilla is, it is used.
    needed = [config / "mozilla", (_cache(environ) or home) / "mozilla", home / ".camoufox"]
    if os.access(home / ".mozilla", os.F_OK):
        needed.append(home / ".mozilla")
    for folder in needed:
        if not may_write(folder):
            yield folder


def may_write(folder: Path) -> bool:
    """Whether this process may write to a folder, or make it."""
    there = next((p for p in (folder, *folder.parents) if os.access(p, os.F_OK)), folder)
    return _is_folder(there, os.W_OK | os.X_OK)


def _is_folder(path: Path, mode: int) -> bool:
    # In this order: a folder above that may not be entered would raise.
    return os.access(path, mode) and path.is_dir()


def _home(environ: Mapping[str, str]) -> Path | None:
    if environ.get("HOME"):
        return Path(environ["HOME"])
    try:
        return Path.home()
    except RuntimeError:  # the user has no entry that names one
        return None


def _cache(environ: Mapping[str, str]) -> Path | None:
    if environ.get("XDG_CACHE_HOME"):
        return Path(environ["XDG_CACHE_HOME"])
    home = _home(environ)
    return None if home is None else home / ".cache"
