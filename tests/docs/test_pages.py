"""The code blocks of each page, run in order as a reader would, against a real service."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from tests.docs.pages import PAGES, blocks_of
from tests.docs.stage import Stage
from tests.support.solve_client import Client

# A busy machine takes a minute for the longest page.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PLAYED = [page for page in PAGES if any(not block.why_not for block in blocks_of(page))]


@pytest.mark.parametrize("page", PLAYED)
async def test_blocks_do_what_the_page_says(
    page: str, client: Client, site: TestServer, tmp_path: Path
) -> None:
    stage = Stage(client.url, f"http://127.0.0.1:{site.port}/page/1", tmp_path)
    try:
        await asyncio.to_thread(stage.play, blocks_of(page))
    finally:
        await asyncio.to_thread(stage.leave)
