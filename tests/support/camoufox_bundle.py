"""A stand-in for Camoufox's files, by which its package's own launch code runs on stock Firefox.

Run as a program (`python -m tests.support.camoufox_bundle ARGUMENTS`) it is the service, but for three
arguments that the package's `launch_options` gets beside ours: the channel that this Firefox
speaks, and a recorded identity in place of one drawn from the model that only GitHub has.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import camoufox.browser_pin
import camoufox.utils

from captcha_bypass.cli import main
from tests.support.warm_firefox import installed_firefox

if TYPE_CHECKING:
    from pathlib import Path


def lay_out(installed: Path) -> Path:
    """Lay a bundle out as `camoufox fetch` does below `installed`, ~/.cache/camoufox of a user.

    Returns:
        The bundle's own folder.
    """
    pin = camoufox.browser_pin.load_pin()
    assert pin is not None
    place = f"browsers/{pin.repo_name}/{pin.spec}"
    bundle = installed / place
    for system in ("linux", "macos", "windows"):
        (bundle / "fontconfig" / system).mkdir(parents=True)
        (bundle / "fontconfig" / system / "fonts.conf").write_text(
            '<?xml version="1.0"?><fontconfig><dir prefix="cwd">fonts</dir>'
            '<cachedir prefix="xdg">fontconfig</cachedir></fontconfig>\n'
        )
    (bundle / "fonts").mkdir()
    # The installed one: a box may hide the checkout, and with it what warms a start up.
    (bundle / "camoufox-bin").symlink_to(_installed())
    (bundle / "application.ini").write_text(f"[App]\nVersion={pin.version}\n")
    (bundle / "properties.json").write_text("[]")
    version = {"version": pin.version, "build": pin.build, "interface": 1, "prerelease": False}
    (bundle / "version.json").write_text(json.dumps(version))
    (installed / "config.json").write_text(json.dumps({"active_version": place}))
    (installed / ".0.5_FLAG").touch()
    return bundle


def _installed() -> Path:
    found = installed_firefox()
    assert found is not None, "no Firefox is installed: bash .ci/setup firefox"
    return found


def _on_stock_firefox() -> None:
    real: Any = camoufox.utils.launch_options
    beside: dict[str, Any] = {
        "channel": "moz-firefox",
        "fingerprint_preset": True,
        "block_webgl": True,
        "i_know_what_im_doing": True,
    }

    def launch_options(**options: Any) -> dict[str, Any]:  # noqa: ANN401 - the package's own
        drawn: dict[str, Any] = real(**options, **beside)
        return drawn

    patch("camoufox.utils.launch_options", launch_options).start()


if __name__ == "__main__":
    _on_stock_firefox()
    main(sys.argv[1:])
