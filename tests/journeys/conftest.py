"""What several journeys start from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.visits import Visits


@pytest.fixture
async def visits() -> AsyncIterator[Visits]:
    """A site that counts visits, served while a test runs."""
    visits = Visits()
    async with visits.server:
        yield visits
