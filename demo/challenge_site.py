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
`clearance_uses`. /human/n is for a person, who clicks the red dot. /never/n is a challenge that nothing solves, /denied/n a block; /open/n,
/headers, /stats and POST /stats/reset are open.
"""

import argparse
import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

if not __package__:  # run as a script: only demo/ itself is on the path then
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from demo import challenge_pages as pages
from demo.challenge_gate import Gate, Grant, SiteOptions, Stats, owner
from demo.human_challenge import HumanChallenge

__all__ = ["HUMAN", "STATS", "SiteOptions", "create_site"]


STATS = web.AppKey("STATS", Stats)
HUMAN = web.AppKey("HUMAN", HumanChallenge)
_OPTIONS = web.AppKey("_OPTIONS", SiteOptions)
_GATE = web.AppKey("_GATE", Gate)


def _plain_grant(request: web.Request) -> Grant:
    options = request.app[_OPTIONS]
    return Grant(options.cookie, options.clearance_seconds)


def _expires_grant(request: web.Request) -> Grant:
    return Grant("clearance_expires", pages.number(request, "seconds", 5))


def _uses_grant(request: web.Request) -> Grant:
    seconds = request.app[_OPTIONS].clearance_seconds
    return Grant("clearance_uses", seconds, int(pages.number(request, "uses", 2)))


async def _challenge(request: web.Request, grant: Grant | None) -> web.Response:
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
    page: pages.Handler, grant_for: Callable[[web.Request], Grant] = _plain_grant
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
            cleared = request.app[_GATE].clear(challenge, nonces, owner(request))
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
    app[_GATE] = Gate(app[_OPTIONS], app[STATS])
    app[HUMAN] = HumanChallenge(app[_GATE], app[STATS])
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
    app.add_routes(app[HUMAN].routes())
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
