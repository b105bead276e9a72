"""What a result holds is of one document, and is what the page is: in the real browser."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import TestServer

from tests.service import Client

pytestmark = pytest.mark.browser


async def test_page_that_closes_its_window_stays(client: Client, hard: TestServer) -> None:
    url = str(hard.make_url("/closes"))
    data = await client.solved(url=url, success_text="paid words", timeout=10, screenshot=True)
    assert "paid words" in data["html"]
    # It has not been there for the 0.2 s of its script when the text is found.
    view = await client.solve(url=url, success_text="never", timeout=2)
    assert view["error"] is None
    assert "paid words" in view["data"]["html"]


async def test_page_that_prints_has_its_screenshot(client: Client, hard: TestServer) -> None:
    url = str(hard.make_url("/prints"))
    for _ in range(4):  # with the dialog open it is missing in three of four
        data = await client.solved(
            url=url, success_text="receipt words", timeout=10, screenshot=True
        )
        assert data["screenshot"] is not None
