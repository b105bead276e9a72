"""Fixtures: a real Redis, and nodes of one fleet on it."""

from __future__ import annotations

from tests.captcha_bypass.tasks.conftest import server
from tests.captcha_bypass.tasks.fleet.conftest import make_node

__all__ = ["make_node", "server"]
