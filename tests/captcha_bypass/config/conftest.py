"""Fixtures: an environment without settings."""

from __future__ import annotations

import pytest

from tests.support.settings import without_settings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    without_settings(monkeypatch)
