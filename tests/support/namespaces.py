"""Whether this machine lets tests have namespaces of their own."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def may_unshare() -> bool:
    """Whether namespaces can be had: containers refuse them even to root."""
    try:
        command = ["unshare", "--mount", "--net", "mount", "-t", "tmpfs", "none", "/mnt"]
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except OSError:
        return False


needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not may_unshare(), reason="needs root, and to be allowed namespaces"
)


needs_nft = pytest.mark.skipif(
    shutil.which("nft") is None or shutil.which("ip") is None,
    reason="needs nft and ip (Debian: nftables, iproute2)",
)
