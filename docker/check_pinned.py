"""Ends a build of the image unless Camoufox's parts are those its Python package was released with.

The package's own fetcher ends with 0 also when it got nothing, and takes what it finds for the rest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

from camoufox.browser_pin import load_pin, matches
from camoufox.exceptions import FpgenModelError
from camoufox.fpgen_model import PIN, fpgen_data_dir, is_pinned
from camoufox.geolocation import get_mmdb_path, load_geoip_config
from camoufox.multiversion import get_active_path, list_installed


def browser() -> str:
    """Return which browser is installed; raises Missing if it is not the pinned build."""
    pin = load_pin()
    if pin is None:
        raise Missing("this camoufox package names no build; use a released one")
    # Notes in a file which build is chosen, so that no launch on a read-only root has to.
    folder = get_active_path()
    for found in list_installed():
        build = found.version.version or "", found.version.build
        if found.path == folder and matches(pin, found.repo_name, *build):
            program = folder / "camoufox-bin"
            if os.access(program, os.X_OK):
                return f"{pin.tag} in {folder}"
            raise Missing(f"{program} cannot be executed")
    others = ", ".join(item.version.full_string for item in list_installed()) or "none"
    raise Missing(f"{pin.tag} is not installed (there is: {others}); see the fetcher's lines above")


def model() -> str:
    """Return which model fingerprints are drawn from; raises Missing if it is not the pinned one."""
    try:
        folder, right = fpgen_data_dir(), is_pinned()
    except (FpgenModelError, OSError) as error:
        raise Missing(str(error)) from error
    if not right:
        raise Missing(f"{folder} does not have the files of {PIN['tag']} with their checksums")
    return f"{PIN['tag']} in {folder}"


def places() -> str:
    """Return which GeoIP database is there; raises Missing if it is none that can be read.

    The package pins where it comes from; that publishes a new one each week, and only the newest.
    """
    import maxminddb

    source = load_geoip_config()
    path = get_mmdb_path(config=source)
    try:
        with maxminddb.open_database(str(path)) as reader:
            built = reader.metadata().build_epoch
    except FileNotFoundError:
        raise Missing(f"there is no {path}; see the fetcher's lines above") from None
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        raise Missing(f"{path} cannot be read: {error}") from error
    return f"{source['name']}, built at {built}, in {path}"


class Missing(Exception):
    """What is not as it should be."""


#: Name, and what looks for it.
PARTS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("browser build", browser),
    ("fpgen model", model),
    ("GeoIP database", places),
)


def lines() -> Iterator[tuple[bool, str]]:
    """Yield for each part whether it is there, and a line that says so."""
    for name, look in PARTS:
        try:
            yield True, f"{name}: {look()}"
        except Missing as missing:
            yield False, f"error: the {name} is not the pinned one: {missing}"


if __name__ == "__main__":
    told = list(lines())
    for right, line in told:
        print(line, file=sys.stdout if right else sys.stderr)
    sys.exit(not all(right for right, _ in told))
