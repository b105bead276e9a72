"""Files with cookies in them, which are as good as a login."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_secret(path: str | Path, text: str) -> None:
    """Write a file that only its owner reads; one that is there is replaced, its mode too."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 - a descriptor
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
