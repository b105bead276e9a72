"""The program, run with arguments that end it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def useless_firefox(at: Path) -> Path:
    """Write a program that says it is Firefox and does not start.

    For services of which nothing is asked that takes a browser: starting one takes seconds.
    """
    at.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Mozilla Firefox 153.0\n')
    at.chmod(0o700)
    return at
