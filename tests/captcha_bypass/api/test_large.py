"""Large results are made as their readers take them, and so many at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from captcha_bypass.api.large import CHUNK_BYTES, LARGE_BYTES, PIECE_CHARS, Outbox, chunks
from captcha_bypass.errors import TooManyWaiting

#: JSON of any kind, lone surrogates too.
TEXT = st.text(st.characters(), max_size=50)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
)


@given(JSON)
def test_pieces_are_the_json_of_the_whole(value: object) -> None:
    assert b"".join(chunks(value)) == json.dumps(value).encode()


@pytest.mark.parametrize("text", ["x", "é", "\N{SNOWMAN}", "\N{PILE OF POO}", "\ud83d", '"'])
def test_no_chunk_is_large_whatever_the_text(text: str) -> None:
    value = {"html": text * 200_000, "cookies": [{"name": "a"}] * 1000}
    made = list(chunks(value))
    assert b"".join(made) == json.dumps(value).encode()
    assert max(map(len, made)) <= CHUNK_BYTES + 12 * PIECE_CHARS


def large(mark: str) -> dict[str, Any]:
    return {"data": mark * LARGE_BYTES}


async def test_answers_at_once_are_bounded_by_number_and_by_what_they_hold() -> None:
    outbox = Outbox(most=3, most_bytes=3 * LARGE_BYTES)
    readers = [outbox._send("a", LARGE_BYTES, large("a")) for _ in range(2)]
    for reader in readers:
        await anext(reader)
    outbox.answer("a", large("a"))  # is there already, so it costs nothing
    with pytest.raises(TooManyWaiting, match="--max-results-bytes"):
        outbox.answer("b", large("b" * 3))
    readers.append(outbox._send("b", LARGE_BYTES, large("b")))
    await anext(readers[-1])
    with pytest.raises(TooManyWaiting):
        outbox.answer("a", large("a"))
    assert outbox.answer("a", {"data": "small"}).status == 200
    for reader in readers:
        await reader.aclose()
    assert outbox.answer("b", large("b" * 3)).status == 200


async def test_clients_read_a_large_answer_like_any_other() -> None:
    outbox = Outbox(most=3, most_bytes=2**28)
    result = {"status": "completed", "data": {"html": "\N{SNOWMAN}" * 1_000_000}}

    async def handler(request: web.Request) -> web.Response:
        return outbox.answer("a", result)

    app = web.Application()
    app.add_routes([web.get("/", handler)])
    async with TestClient(TestServer(app)) as client:
        for _ in range(2):
            async with client.get("/") as response:
                assert response.content_type == "application/json"
                assert await response.json() == result
        reader_gone = await client.get("/")
        reader_gone.close()
        async with client.get("/") as response:
            assert await response.json() == result
    assert not outbox._sending
