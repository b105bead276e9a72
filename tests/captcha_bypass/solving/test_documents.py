"""What is told of the documents that a task's page has shown: in the real browser."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from captcha_bypass.history.timeline import MOST_DOCUMENTS
from tests.support.solve_client import Client, Json

pytestmark = pytest.mark.browser


async def remembered(client: Client, task_id: str) -> Json:
    url = f"{client.url}/dashboard/api/tasks/{task_id}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200, await response.text()
        details: Json = await response.json()
        return details


async def test_a_challenge_and_the_page_behind_it_are_told_of_in_their_order(
    client: Client, site: TestServer
) -> None:
    url = str(site.make_url("/page/1"))
    task_id = await client.submit(url=url, no_challenge=True, timeout=30)
    data = (await client.finished(task_id))["data"]
    details = await remembered(client, task_id)
    challenge, *_, page = documents = details["documents"]
    assert data["solved"] is not None
    assert (challenge["vendor"], challenge["kind"]) == (data["solved"], data["challenge_kind"])
    assert (page["url"], page["status"], page["vendor"]) == (data["url"], 200, None)
    moments = [document["at"] for document in documents]
    assert moments == sorted(moments)
    assert moments[-1] <= details["seconds"]
    assert (details["outcome"], details["vendor"]) == ("completed", data["solved"])


async def test_of_a_page_that_reloads_for_ever_the_first_documents_are_told(
    client: Client, hard: TestServer
) -> None:
    url = str(hard.make_url("/reload"))
    task_id = await client.submit(url=url, success_text="never", timeout=6)
    assert (await client.finished(task_id))["data"]["timeout_reached"]
    documents = (await remembered(client, task_id))["documents"]
    assert 1 < len(documents) <= MOST_DOCUMENTS
    assert {document["url"] for document in documents} == {url}


async def test_what_could_not_be_opened_is_told_of_without_a_status(
    client: Client, hard: TestServer
) -> None:
    url = str(hard.make_url("/js-to-inside"))
    task_id = await client.submit(url=url, success_text="never", timeout=10)
    assert (await client.finished(task_id))["error"]["code"] == "blocked_address"
    first, *others = (await remembered(client, task_id))["documents"]
    assert (first["url"], first["status"]) == (url, 200)
    assert {document["status"] for document in others} == {None}
