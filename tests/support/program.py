"""The program, run with arguments that end it."""

from __future__ import annotations

import os
import subprocess
import sys

from captcha_bypass.config import Config

NAMES = sorted(Config.model_fields)


def run(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the program with arguments that end it before it starts a service."""
    return subprocess.run(
        [sys.executable, "-m", "captcha_bypass", *argv],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
