"""An X display nobody sees, for browsers that shall have a window."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from captcha_bypass.browsers.launch.workspace import Workspace
from captcha_bypass.errors import StartupError


class VirtualDisplay:
    """An Xvfb of the service's own, started anew if it dies.

    Args:
        workspace: Sees to it that Xvfb dies with this process.

    Raises:
        StartupError: Xvfb is not installed.
    """

    def __init__(self, workspace: Workspace) -> None:
        # Not at the top: Camoufox takes long to import, and few want a display.
        from camoufox.virtdisplay import VirtualDisplay as Xvfb

        found = shutil.which("Xvfb")
        if found is None:
            raise StartupError("--headless virtual needs Xvfb; run `apt-get install xvfb`.")
        script = str(workspace.wrap(Path(found), "xvfb"))

        class OwnXvfb(Xvfb):
            """Camoufox's own, dying with this process."""

            @property
            def xvfb_path(self) -> str:
                return script

        self._kind = OwnXvfb
        self._xvfb: OwnXvfb | None = None

    def environment(self) -> dict[str, str]:
        """Return the variables that show a program's windows on it; it runs when this returns.

        Blocks while Xvfb starts, some 100 ms: at the first call, and at the next one after its death.

        Raises:
            StartupError: Xvfb does not start.
        """
        from camoufox.exceptions import VirtualDisplayError

        if self._xvfb is None or self._xvfb.proc is None or self._xvfb.proc.poll() is not None:
            self._xvfb = self._kind(screen="1920x1080x24")
        try:
            name = self._xvfb.get()
        except (VirtualDisplayError, OSError) as error:
            raise StartupError(f"Xvfb did not start: {error}") from error
        # A Wayland session's variables would win over DISPLAY.
        return {"DISPLAY": name, "MOZ_ENABLE_WAYLAND": "0", "GDK_BACKEND": "x11"}

    def close(self) -> None:
        """End it."""
        if self._xvfb is not None:
            self._xvfb.kill()


@contextmanager
def virtual_display(workspace: Workspace) -> Iterator[VirtualDisplay]:
    """Run Xvfb for the length of the block.

    Raises:
        StartupError: Xvfb is not installed or does not start.
    """
    display = VirtualDisplay(workspace)
    try:
        display.environment()
        yield display
    finally:
        display.close()
