"""An X display nobody sees, for a browser that shall have a window."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from captcha_bypass.browsers.reaper import Workspace
from captcha_bypass.errors import StartupError


@contextmanager
def virtual_display(workspace: Workspace) -> Iterator[dict[str, str]]:
    """Run Xvfb for the length of the block; yields the environment that shows on it.

    Raises:
        StartupError: Xvfb is not installed or does not start.
    """
    from camoufox.exceptions import VirtualDisplayError
    from camoufox.virtdisplay import VirtualDisplay

    found = shutil.which("Xvfb")
    if found is None:
        raise StartupError("--headless virtual needs Xvfb; run `apt-get install xvfb`.")
    script = str(workspace.wrap(Path(found), "xvfb"))

    class Display(VirtualDisplay):
        """Camoufox's own, dying with this process."""

        @property
        def xvfb_path(self) -> str:
            return script

    display = Display(screen="1920x1080x24")
    try:
        name = display.get()
    except VirtualDisplayError as error:
        raise StartupError(f"Xvfb did not start: {error}") from error
    try:
        # A Wayland session's variables would win over DISPLAY.
        yield {"DISPLAY": name, "MOZ_ENABLE_WAYLAND": "0", "GDK_BACKEND": "x11"}
    finally:
        display.kill()
