"""What several journeys start from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.captcha_bypass_scrapy.conftest import fake, guarded
from tests.support.visits import Visits

__all__ = ["fake", "guarded", "visits"]


@pytest.fixture
async def visits() -> AsyncIterator[Visits]:
    """A site that counts visits, served while a test runs."""
    visits = Visits()
    async with visits.server:
        yield visits
