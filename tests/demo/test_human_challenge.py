"""The challenge for a person: only a click on the red dot passes, and the place is only in the picture."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from captcha_bypass.challenges import Challenge, detect
from demo.challenge_pages import SUCCESS_TEXT
from demo.challenge_site import HUMAN, STATS, SiteOptions, create_site
from demo.human_challenge import HEIGHT, RADIUS, WIDTH, HumanChallenge

Client = TestClient[Any, Any]
RED = 2


class Visitor:
    """Somebody at the site, who sees its pictures."""

    def __init__(self, client: Client, human: HumanChallenge) -> None:
        self.client = client
        self.human = human

    async def challenged(self) -> str:
        """Ask for the page; returns the id of the picture that came in its place."""
        async with self.client.get("/human/1") as answer:
            text = await answer.text()
            assert detect(answer.status, answer.headers, text) == Challenge("aws-waf", "human")
        assert SUCCESS_TEXT not in text
        found = re.search(r"/human/picture/(\w+)\.png", text)
        assert found
        assert found[1] in self.human.puzzles
        return found[1]

    async def pixels(self, identity: str) -> list[bytes]:
        """The rows of a picture; each pixel is the number of a colour."""
        async with self.client.get(f"/human/picture/{identity}.png") as answer:
            assert answer.content_type == "image/png"
            png = await answer.read()
        data = png[png.index(b"IDAT") + 4 : png.index(b"IEND") - 8]
        raw = zlib.decompress(data)
        return [raw[n * (WIDTH + 1) + 1 : (n + 1) * (WIDTH + 1)] for n in range(HEIGHT)]

    async def click(self, identity: str, x: float, y: float, *, trusted: bool = True) -> int:
        told = {"id": identity, "x": x, "y": y, "trusted": trusted}
        async with self.client.post("/human/clicked", json=told) as answer:
            return answer.status

    async def is_through(self) -> bool:
        async with self.client.get("/human/1") as answer:
            return SUCCESS_TEXT in await answer.text()


@pytest.fixture
async def visitor() -> AsyncIterator[Visitor]:
    app = create_site(SiteOptions())
    async with TestClient(TestServer(app)) as client:
        yield Visitor(client, app[HUMAN])


async def test_whoever_sees_the_red_dot_and_clicks_it_is_through(visitor: Visitor) -> None:
    identity = await visitor.challenged()
    rows = await visitor.pixels(identity)
    red = [(x, y) for y, row in enumerate(rows) for x, color in enumerate(row) if color == RED]
    x, y = (sum(place) / len(red) for place in zip(*red, strict=True))
    assert await visitor.click(identity, x, y) == 204
    assert await visitor.is_through()
    stats = visitor.client.app[STATS]
    assert (stats.passes["/human/1"], stats.pages["/human/1"]) == (1, 1)


async def test_a_click_elsewhere_or_by_a_script_brings_another_picture(visitor: Visitor) -> None:
    first = await visitor.challenged()
    x, y = visitor.human.puzzles[first].dots[0]
    assert await visitor.click(first, x + RADIUS + 1, y) == 403
    assert await visitor.click(first, x, y) == 403  # each is good for one click
    second = await visitor.challenged()
    assert await visitor.click(second, *visitor.human.puzzles[second].dots[0], trusted=False) == 403
    assert not await visitor.is_through()


async def test_the_place_is_another_one_each_time(visitor: Visitor) -> None:
    places = {visitor.human.puzzles[await visitor.challenged()].dots[0] for _ in range(5)}
    assert len(places) > 1


@pytest.mark.parametrize(
    "told", [None, [], {}, {"id": 5}, {"id": "x", "x": "1", "y": []}], ids=repr
)
async def test_what_is_no_click_passes_nothing(visitor: Visitor, told: object) -> None:
    async with visitor.client.post("/human/clicked", json=told) as answer:
        assert answer.status in (400, 403)
