r"""A small local website behind a JavaScript proof-of-work, for the demo, tests and benchmarks.

    python demo/challenge_site.py --port 8080 [--host 127.0.0.1] [--work 0.4]

The puzzle: a challenge is 32 random bytes, written as 64 hex digits in the page's
`<script id="challenge" type="application/json">{"id", "puzzles", "target"}</script>`. For each
puzzle i in 0..puzzles-1, find a 32-bit nonce for which the first four bytes of
SHA-256(challenge + i + nonce), with i and nonce as 4 big-endian bytes, are below `target` as a
big-endian number. Then POST `{"id": ..., "nonces": [...]}` as JSON to /clearance: 204 with the
cookie, or 403. Many small puzzles, and not a large one, because that evens out the luck.

Pages (n is a whole number): guarded are / and /page/n, /redirect/n, /slow/n?seconds=1,
/big/n?mb=2, /iframe/n (and the /frame/n in it), /json/n, /post/n (GET, POST) and /cookies/n, all
by the cookie `clearance`; /expires/n?seconds=5 by `clearance_expires`; /uses/n?uses=2 by
`clearance_uses`. /never/n is a challenge that nothing solves, /denied/n a block; /open/n,
/headers, /stats and POST /stats/reset are open.
"""

import argparse
import asyncio
import hashlib
import math
import secrets
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

if not __package__:  # run as a script: only demo/ itself is on the path then
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from demo import challenge_pages as pages

# Measured in Firefox ESR on a 2-core machine; it only turns `work` into a number of hashes.
HASHES_PER_SECOND = 2_000_000


@dataclass(frozen=True)
class SiteOptions:
    """How hard and how lasting the site's challenges are.

    Attributes:
        work: About how many seconds a browser needs for one challenge; 0 accepts any nonces.
        puzzles: Number of puzzles in a challenge; the time's spread is work / sqrt(puzzles).
        challenge_seconds: How long a challenge may be answered.
        clearance_seconds: How long a clearance lasts where its page sets no other time.
        cookie: What the clearance of the plain pages is called.
        clock: Returns the time in seconds; tests put in their own.
    """

    work: float = 0.4
    puzzles: int = 64
    challenge_seconds: float = 60
    clearance_seconds: float = 3600
    cookie: str = "clearance"
    clock: Callable[[], float] = time.monotonic

    @property
    def target(self) -> int:
        """The bound in 1..2**32 that the first four bytes of each hash must be below."""
        return max(1, int(2**32 / max(1.0, self.work * HASHES_PER_SECOND / self.puzzles)))


@dataclass
class Stats:
    """What the site has done since its start or reset: path (no query) -> count."""

    challenges: Counter[str] = field(default_factory=Counter)
    """Challenge pages served."""
    passes: Counter[str] = field(default_factory=Counter)
    """Clearances given, by the page that had asked for them."""
    pages: Counter[str] = field(default_factory=Counter)
    """Guarded pages served, that is, behind their challenge."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Clearance cookies not accepted: unknown, expired, used up, or of another UA or IP."""

    def reset(self) -> None:
        """Set every counter back to zero."""
        for counter in (self.challenges, self.passes, self.pages, self.rejected):
            counter.clear()


@dataclass(frozen=True)
class _Grant:
    """What solving a challenge gives: a cookie's name, its seconds and its number of uses."""

    cookie: str
    seconds: float
    uses: float = math.inf


@dataclass
class _Clearance:
    """A token's realm, its owner (User-Agent, IP), when it ends and the uses it has left."""

    cookie: str
    owner: tuple[str, str]
    ends: float
    uses: float


def _owner(request: web.Request) -> tuple[str, str]:
    return request.headers.get("User-Agent", ""), request.remote or ""


class _Gate:
    """Gives out challenges and clearances, and checks both."""

    def __init__(self, options: SiteOptions, stats: Stats) -> None:
        self._options = options
        self._stats = stats
        self._challenges: dict[str, tuple[float, str, _Grant]] = {}  # id: (end, path, grant)
        self._clearances: dict[str, _Clearance] = {}  # by token

    def challenge(self, path: str, grant: _Grant) -> dict[str, object]:
        """Return a new challenge, in the shape the page's script takes."""
        now = self._options.clock()
        # All live equally long, so the oldest are first and the sweep stops at a live one.
        while self._challenges and next(iter(self._challenges.values()))[0] <= now:
            del self._challenges[next(iter(self._challenges))]
        challenge = secrets.token_hex(32)
        self._challenges[challenge] = (now + self._options.challenge_seconds, path, grant)
        return {
            "id": challenge,
            "puzzles": self._options.puzzles,
            "target": self._options.target,
        }

    def clear(
        self, challenge: str, nonces: list[object], owner: tuple[str, str]
    ) -> tuple[str, str] | None:
        """Use up a challenge; return a cookie (name, token), or None if it is not solved."""
        now = self._options.clock()
        ends, path, grant = self._challenges.pop(challenge, (-math.inf, "", None))
        if grant is None or ends <= now or len(nonces) != self._options.puzzles:
            return None
        if not all(self._solves(challenge, i, nonce) for i, nonce in enumerate(nonces)):
            return None
        self._stats.passes[path] += 1
        self._clearances = {t: c for t, c in self._clearances.items() if c.ends > now and c.uses}
        token = secrets.token_urlsafe(24)
        self._clearances[token] = _Clearance(grant.cookie, owner, now + grant.seconds, grant.uses)
        return grant.cookie, token

    def _solves(self, challenge: str, index: int, nonce: object) -> bool:
        if not isinstance(nonce, int) or not 0 <= nonce < 2**32:
            return False
        message = bytes.fromhex(challenge) + struct.pack(">II", index, nonce)
        first = int.from_bytes(hashlib.sha256(message).digest()[:4], "big")
        return first < self._options.target

    def admits(self, request: web.Request, cookie: str) -> bool:
        """Say whether the request has a valid clearance, and take one use off it."""
        token = request.cookies.get(cookie)
        if token is None:
            return False
        found = self._clearances.get(token)
        if (
            found is None
            or (found.cookie, found.owner) != (cookie, _owner(request))
            or found.ends <= self._options.clock()
            or found.uses < 1
        ):
            self._stats.rejected[request.path] += 1
            return False
        found.uses -= 1
        return True


STATS = web.AppKey("STATS", Stats)
_OPTIONS = web.AppKey("_OPTIONS", SiteOptions)
_GATE = web.AppKey("_GATE", _Gate)


def _plain_grant(request: web.Request) -> _Grant:
    options = request.app[_OPTIONS]
    return _Grant(options.cookie, options.clearance_seconds)


def _expires_grant(request: web.Request) -> _Grant:
    return _Grant("clearance_expires", pages.number(request, "seconds", 5))


def _uses_grant(request: web.Request) -> _Grant:
    seconds = request.app[_OPTIONS].clearance_seconds
    return _Grant("clearance_uses", seconds, int(pages.number(request, "uses", 2)))


async def _challenge(request: web.Request, grant: _Grant | None) -> web.Response:
    """Answer with a challenge; one that cannot be passed if nothing is granted for it."""
    form = None
    if request.method == "POST":
        form = [(name, str(value)) for name, value in (await request.post()).items()]
    request.app[STATS].challenges[request.path] += 1
    challenge = request.app[_GATE].challenge(request.path, grant) if grant else None
    response = pages.html(pages.challenge_page(challenge, form), 403)
    response.headers["cf-mitigated"] = "challenge"
    return response


def _guarded(
    page: pages.Handler, grant_for: Callable[[web.Request], _Grant] = _plain_grant
) -> pages.Handler:
    """Return a handler that answers with `page` to the cleared and a challenge to others."""

    async def handler(request: web.Request) -> web.Response:
        grant = grant_for(request)
        if not request.app[_GATE].admits(request, grant.cookie):
            return await _challenge(request, grant)
        request.app[STATS].pages[request.path] += 1
        return await page(request)

    return handler


async def _never(request: web.Request) -> web.Response:
    return await _challenge(request, None)


async def _slow(request: web.Request) -> web.Response:
    await asyncio.sleep(pages.number(request, "seconds", 1))
    return await _guarded(pages.content("slow"))(request)


async def _stats(request: web.Request) -> web.Response:
    """Answer `{counter: {"total": count, "by_page": {path: count}}}`."""
    counters: dict[str, Counter[str]] = vars(request.app[STATS])
    return web.json_response(
        {name: {"total": c.total(), "by_page": c} for name, c in counters.items()}
    )


async def _reset(request: web.Request) -> web.Response:
    request.app[STATS].reset()
    return web.Response(status=204)


async def _clear(request: web.Request) -> web.Response:
    """Take `{"id": challenge, "nonces": [one per puzzle]}`; set the cookie or answer 403."""
    try:
        body = await request.json()
    except ValueError:
        body = None
    match body:
        case {"id": str(challenge), "nonces": [*nonces]}:
            cleared = request.app[_GATE].clear(challenge, nonces, _owner(request))
        case _:
            raise web.HTTPBadRequest(text='send {"id": "...", "nonces": [...]} as JSON')
    if cleared is None:
        return web.json_response({"error": "wrong, expired or already used"}, status=403)
    response = web.Response(status=204)
    # No Max-Age: a browser then goes on sending an expired one, which is the case to test.
    response.set_cookie(*cleared, httponly=True, path="/", samesite="Lax")
    return response


async def _on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "challenge-site"
    response.headers["Cache-Control"] = "no-store"


def create_site(options: SiteOptions | None = None) -> web.Application:
    """Return the site as an application of its own; its counters are `app[STATS]`."""
    app = web.Application()
    app[_OPTIONS] = options or SiteOptions()
    app[STATS] = Stats()
    app[_GATE] = _Gate(app[_OPTIONS], app[STATS])
    app.on_response_prepare.append(_on_prepare)
    routes: dict[str, pages.Handler] = {
        "/": _guarded(pages.content("page")),
        "/favicon.ico": pages.favicon_handler,
        "/headers": pages.headers_handler,
        "/stats": _stats,
    }
    numbered: dict[str, pages.Handler] = {
        "page": _guarded(pages.content("page")),
        "open": pages.open_handler,
        "redirect": _guarded(pages.redirect_handler),
        "expires": _guarded(pages.content("expires"), _expires_grant),
        "uses": _guarded(pages.content("uses"), _uses_grant),
        "never": _never,
        "slow": _slow,
        "big": _guarded(pages.big_handler),
        "iframe": _guarded(pages.iframe_handler),
        "frame": _guarded(pages.content("frame")),
        "json": _guarded(pages.json_handler),
        "denied": pages.denied_handler,
        "post": _guarded(pages.post_handler),
        "cookies": _guarded(pages.cookies_handler),
    }
    routes |= {f"/{kind}/{{n:[0-9]{{1,9}}}}": page for kind, page in numbered.items()}
    app.add_routes([web.get(path, page) for path, page in routes.items()])
    app.router.add_post("/post/{n:[0-9]{1,9}}", numbered["post"])
    app.router.add_post("/clearance", _clear)
    app.router.add_post("/stats/reset", _reset)
    return app


async def serve(host: str, port: int, options: SiteOptions) -> None:
    """Serve until SIGTERM or SIGINT; port 0 takes a free one, and the printed line has it."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Pages still waiting in /slow are not worth a long goodbye.
    runner = web.AppRunner(create_site(options), shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        print(f"Challenge site on http://{host}:{runner.addresses[0][1]}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Run the site from the command line."""
    defaults = SiteOptions()
    parser = argparse.ArgumentParser(description="A local website behind a proof-of-work.")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (%(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one (%(default)s)")
    parser.add_argument(
        "--work", type=float, default=defaults.work, help="seconds per challenge (%(default)s)"
    )
    arguments = parser.parse_args()
    options = SiteOptions(work=arguments.work)
    asyncio.run(serve(arguments.host, arguments.port, options))


if __name__ == "__main__":
    main()
