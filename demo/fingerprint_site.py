r"""The challenge site with clearances that only fit the client that got them, as those of large CDNs do.

    python demo/fingerprint_site.py --port 8082 [--host 127.0.0.1] [--work 0.4] [--tls PEM]

A clearance is bound to the order in which its client sends its headers and, over TLS, to its ClientHello.
Another client that sends the very same cookies and User-Agent gets the challenge again, with 403. `--tls`
is a file with a certificate and its key.
"""

import argparse
import asyncio
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web
from multidict import CIMultiDict

if not __package__:  # run as a script: only demo/ itself is on the path then
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from demo.challenge_site import STATS, SiteOptions, create_site
from demo.client_hello import ClientHello, HelloServer

__all__ = ["STATS", "SiteOptions", "fingerprint", "serving"]

#: What browsers send with each request, whatever it is for.
_ALWAYS = frozenset(
    {
        *("host", "user-agent", "accept", "accept-language", "accept-encoding", "connection"),
        *("sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site"),
    }
)
_Hellos = dict[object, ClientHello]
_HELLOS = web.AppKey("_HELLOS", _Hellos)
#: Clearances and the fingerprints that they are bound to.
_BOUND = web.AppKey("_BOUND", dict[str, str])
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def fingerprint(request: web.Request) -> str:
    """Return what tells its client from others: header names in their order, and its ClientHello."""
    names = [name.decode("latin-1") for name, _ in request.raw_headers]
    order = ",".join(name for name in names if name.lower() in _ALWAYS)
    hello = request.app[_HELLOS].get(request.get_extra_info("peername"))
    return order if hello is None else f"{order} {hello.fingerprint}"


@web.middleware
async def _bind(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Show the site no clearance that is another client's, and remember whose each new one is."""
    bound, own = request.app[_BOUND], fingerprint(request)
    if any(bound.get(value, own) != own for value in request.cookies.values()):
        request.app[STATS].rejected[request.path] += 1
        headers = CIMultiDict(request.headers)
        headers.popall("Cookie")
        request = request.clone(headers=headers)
    response = await handler(request)
    for cookie in response.cookies.values():
        bound[cookie.value] = own
    return response


@asynccontextmanager
async def serving(
    options: SiteOptions | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[str, web.Application]]:
    """Serve the site; port 0 takes a free one.

    Yields:
        Its URL without a path, and its application.
    """
    app = create_site(options)
    app[_BOUND] = {}
    app[_HELLOS] = {}
    app.middlewares.append(_bind)
    # Pages still waiting in /slow are not worth a long goodbye.
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    async with AsyncExitStack() as stack:
        if tls is None:
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, host, port).start()
            yield f"http://{host}:{runner.addresses[0][1]}", app
            return
        assert runner.server is not None
        server = HelloServer(runner.server, tls, host, port, app[_HELLOS])
        await stack.enter_async_context(server)
        stack.push_async_callback(runner.cleanup)
        yield f"https://{host}:{server.port}", app


async def serve(host: str, port: int, options: SiteOptions, tls: ssl.SSLContext | None) -> None:
    """Serve until SIGTERM or SIGINT; the printed line has the port."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(options, host=host, port=port, tls=tls) as (url, _):
        print(f"Fingerprint site on {url}", flush=True)
        await stop.wait()


def main() -> None:
    """Run the site from the command line."""
    parser = argparse.ArgumentParser(description="A challenge site that knows its clients.")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (%(default)s)")
    parser.add_argument("--port", type=int, default=8082, help="0 takes a free one (%(default)s)")
    parser.add_argument(
        "--work", type=float, default=SiteOptions().work, help="seconds per challenge (%(default)s)"
    )
    parser.add_argument("--tls", type=Path, help="PEM file with a certificate and its key")
    arguments = parser.parse_args()
    context = None
    if arguments.tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.tls)
    options = SiteOptions(work=arguments.work)
    asyncio.run(serve(arguments.host, arguments.port, options, context))


if __name__ == "__main__":
    main()
