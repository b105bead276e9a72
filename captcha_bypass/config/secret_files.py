"""Secrets that stand in files, where no list of processes and no environment shows them."""

from __future__ import annotations

from pathlib import Path


def read_keys(path: object) -> object:
    """Return the keys in a file, one a line; blank lines and #-comments are none.

    Raises:
        ValueError: it cannot be read, or has none.
    """
    if not isinstance(path, str | Path):
        return path
    lines = [line.strip() for line in _text(path).splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise ValueError("the file has no key; write one key a line")
    return keys


def read_password(path: object) -> object:
    """Return the one line of a file, spaces included.

    Raises:
        ValueError: it cannot be read, is empty, or has more lines.
    """
    if not isinstance(path, str | Path):
        return path
    lines = _text(path).splitlines()
    if len(lines) != 1 or not lines[0]:
        raise ValueError("the file must have one line, the password")
    return lines[0]


def _text(path: str | Path) -> str:
    """Return what a file holds; no error repeats its path, which may be a secret put there."""
    try:
        return Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise ValueError(f"the file cannot be read: {reason}") from None
