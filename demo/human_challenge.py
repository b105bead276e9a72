"""A challenge for a person: click the red dot among others, which is at a random place each time.

A click elsewhere brings another picture, and so does one that a script makes. The place is nowhere but
in the pixels of a PNG, which the page draws on a canvas.
"""

import secrets
import struct
import zlib
from collections import OrderedDict
from dataclasses import dataclass

from aiohttp import web

from demo import challenge_pages as pages
from demo.challenge_gate import Gate, Grant, Stats, owner

COOKIE, COOKIE_SECONDS = "clearance_human", 3600.0
#: Of the picture, and of each of its dots, in CSS pixels.
WIDTH, HEIGHT, RADIUS = 360, 240, 14
DOTS = 12
#: Where the picture is on the page, whose border is a pixel wide.
LEFT, TOP = 20, 120
#: Pictures that wait for a click; the oldest go first.
MOST = 1000
#: How AWS WAF says that its captcha stands in place of the page.
STATUS, MARK = 405, {"x-amzn-waf-action": "captcha"}
#: Red, green, blue: of the background, the dots, and the one to click.
_PALETTE = bytes((244, 244, 240, 60, 110, 190, 210, 40, 40))

_PAGE = """<h1>Are you human?</h1>
<p>Click the red dot.</p>
<canvas width="{width}" height="{height}" style="position: absolute; left: {left}px; top: {top}px;
border: 1px solid; cursor: pointer"></canvas>
<script>
const canvas = document.querySelector("canvas");
const picture = new Image();
picture.onload = () => canvas.getContext("2d").drawImage(picture, 0, 0);
picture.src = "/human/picture/{id}.png";
canvas.addEventListener("click", async (event) => {{
  const told = {{ id: "{id}", x: event.offsetX, y: event.offsetY, trusted: event.isTrusted }};
  await fetch("/human/clicked", {{ method: "POST", body: JSON.stringify(told) }});
  location.reload();
}});
</script>
"""


@dataclass
class Puzzle:
    """A picture, and the page in whose place it is; the first of its dots is the one to click."""

    path: str
    dots: list[tuple[int, int]]

    @classmethod
    def draw(cls, path: str) -> "Puzzle":
        """Place the dots so that none touches another."""
        choice = secrets.SystemRandom()
        dots: list[tuple[int, int]] = []
        while len(dots) < DOTS:
            x = choice.randrange(RADIUS + 2, WIDTH - RADIUS - 2)
            y = choice.randrange(RADIUS + 2, HEIGHT - RADIUS - 2)
            if all((x - a) ** 2 + (y - b) ** 2 > (2 * RADIUS + 4) ** 2 for a, b in dots):
                dots.append((x, y))
        return cls(path, dots)

    def is_passed(self, x: object, y: object) -> bool:
        """Whether a click there is on the dot."""
        if not isinstance(x, int | float) or not isinstance(y, int | float):
            return False
        a, b = self.dots[0]
        return (x - a) ** 2 + (y - b) ** 2 <= RADIUS**2

    def png(self) -> bytes:
        """Return the picture."""
        rows = [bytearray(WIDTH) for _ in range(HEIGHT)]
        for number, (x, y) in enumerate(self.dots):
            color = b"\x01" if number else b"\x02"
            for row in range(y - RADIUS, y + RADIUS + 1):
                half = int((RADIUS**2 - (row - y) ** 2) ** 0.5)
                rows[row][x - half : x + half + 1] = color * (2 * half + 1)
        header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
        data = zlib.compress(b"".join(b"\0" + row for row in rows))
        chunks = ((b"IHDR", header), (b"PLTE", _PALETTE), (b"IDAT", data), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )


class HumanChallenge:
    """What guards the pages `/human/n`.

    Attributes:
        puzzles: Those that wait for a click, by id; the last is the one that was asked for last.
    """

    def __init__(self, gate: Gate, stats: Stats) -> None:
        self._gate = gate
        self._stats = stats
        self.puzzles: OrderedDict[str, Puzzle] = OrderedDict()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/human/{n:[0-9]{1,9}}", self._page),
            web.get("/human/picture/{id}.png", self._picture),
            web.post("/human/clicked", self._clicked),
        ]

    async def _page(self, request: web.Request) -> web.Response:
        if self._gate.admits(request, COOKIE):
            self._stats.pages[request.path] += 1
            return await pages.content("human")(request)
        self._stats.challenges[request.path] += 1
        identity = secrets.token_hex(16)
        self.puzzles[identity] = Puzzle.draw(request.path)
        while len(self.puzzles) > MOST:
            self.puzzles.popitem(last=False)
        body = _PAGE.format(id=identity, width=WIDTH, height=HEIGHT, left=LEFT, top=TOP)
        response = pages.html(pages.html_page("Are you human?", body), STATUS)
        response.headers.update(MARK)
        return response

    async def _picture(self, request: web.Request) -> web.Response:
        puzzle = self.puzzles.get(request.match_info["id"])
        if puzzle is None:
            raise web.HTTPNotFound
        return web.Response(body=puzzle.png(), content_type="image/png")

    async def _clicked(self, request: web.Request) -> web.Response:
        """Take `{"id", "x", "y", "trusted"}`; set the cookie or answer 403."""
        try:
            told = await request.json()
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise web.HTTPBadRequest(text='send {"id", "x", "y", "trusted"} as JSON')
        puzzle = self.puzzles.pop(str(told.get("id")), None)  # each is good for one click
        right = puzzle is not None and puzzle.is_passed(told.get("x"), told.get("y"))
        if puzzle is None or not right or told.get("trusted") is not True:
            return web.json_response({"error": "not the red dot, or not a person"}, status=403)
        response = web.Response(status=204)
        cleared = self._gate.grant(puzzle.path, Grant(COOKIE, COOKIE_SECONDS), owner(request))
        response.set_cookie(*cleared, httponly=True, path="/", samesite="Lax")
        return response
