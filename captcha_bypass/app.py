"""The application: its routes, and who starts and stops whom."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from captcha_bypass import __version__
from captcha_bypass.api.application import DOOR, application
from captcha_bypass.api.door import Door
from captcha_bypass.api.errors import not_about_broken_http
from captcha_bypass.browsers.failures import not_about_given_up_calls
from captcha_bypass.browsers.fleet import Limits
from captcha_bypass.browsers.launch.engines import Engine
from captcha_bypass.browsers.launch.installed import find_engine
from captcha_bypass.browsers.pool import BrowserPool
from captcha_bypass.browsers.sessions import Sessions
from captcha_bypass.browsers.startup import Find, Startup
from captcha_bypass.config import Config
from captcha_bypass.config.file_limit import raise_file_limit
from captcha_bypass.egress.guards import Egress
from captcha_bypass.egress.rules import AllowedHost, Rules
from captcha_bypass.egress.upstream import Upstream
from captcha_bypass.errors import StartupError
from captcha_bypass.fetching.sender import Sender
from captcha_bypass.fetching.sites import Sites
from captcha_bypass.history import EvidenceStore, History
from captcha_bypass.human.waits import Waits
from captcha_bypass.human.webhook import Webhook
from captcha_bypass.metrics import Metrics
from captcha_bypass.nodes.nodes import Nodes
from captcha_bypass.nodes.queue import make_queue
from captcha_bypass.shutdown import drain, signals, until_asked
from captcha_bypass.solving import isolated
from captcha_bypass.solving.worker import Worker, permit_of
from captcha_bypass.status import StatusBoard
from captcha_bypass.tasks.base import TaskQueue
from captcha_bypass.wire.models import Proxy

logger = logging.getLogger(__name__)

#: Connections that may wait to be accepted.
BACKLOG = 1024

QUEUE: web.AppKey[TaskQueue] = web.AppKey("QUEUE")
STARTUP = web.AppKey("STARTUP", Startup)
SITES = web.AppKey("SITES", Sites)
WAITS = web.AppKey("WAITS", Waits)
NODES = web.AppKey("NODES", Nodes)


def create_app(config: Config, find: Find) -> web.Application:
    """Build the service; its browsers and queue live as long as the application runs.

    Nothing is looked for or started before `app[STARTUP].begin()`; what is asked until then waits.
    """
    metrics = Metrics(domains=config.metrics_domains)
    egress = _egress(config)
    sessions = Sessions(most=config.max_sessions, ttl=config.session_ttl)
    startup = _startup(config, find, egress, sessions)
    history = History(
        EvidenceStore(
            most=config.keep_evidence,
            max_bytes=config.max_evidence_bytes,
            seconds=config.result_ttl,
        )
    )
    queues = make_queue(config, metrics, history)
    queue = queues.queue
    proxy = default_proxy(config)
    at_once = config.max_fetches_per_host
    sender = Sender(sessions, at_once=at_once, max_bytes=config.max_fetch_bytes)
    sites = Sites(
        queue,
        sessions,
        sender,
        lambda request: permit_of(request, proxy),
        at_once=at_once,
        max_per_host=config.max_per_host,
        name="site" if queues.homes is None else f"site-{queues.homes.node[:12]}",
    )
    nodes = Nodes.of(config, queues, sessions, sites, lambda request: permit_of(request, proxy))
    waits = Waits(
        queue,
        most=config.max_waiting_pages,
        seconds=config.human_timeout,
        link_base=config.dashboard_url,
        report=metrics.wait_ended,
    )
    board = StatusBoard(queue, startup, egress.counts, sites.status, sessions.now, sites.now)
    app = application(
        config,
        queue,
        nodes.sessions,
        board,
        metrics,
        nodes.fetching,
        history,
        waits,
        queues.clearances,
        is_peer=nodes.is_peer,
    )
    app.add_routes(nodes.routes)
    app[QUEUE], app[STARTUP], app[SITES] = queue, startup, sites
    app[WAITS], app[NODES] = waits, nodes

    async def life(_: web.Application) -> AsyncIterator[None]:
        async with nodes.opened(), startup, _webhook(config, waits):
            worker = Worker(
                startup, config.max_html_bytes, proxy, metrics.task_ended, history, waits
            )
            await queue.start(worker if config.workers else None, config.workers)
            yield
            await queue.stop(0)
            await sites.close()
            await sender.close()

    app.cleanup_ctx.append(life)
    return app


@asynccontextmanager
async def _webhook(config: Config, waits: Waits) -> AsyncIterator[None]:
    """Have somebody told of each wait that begins within the block, if the settings name them."""
    if config.human_webhook is None:
        yield
        return
    async with Webhook(config.human_webhook.get_secret_value()) as webhook:
        waits.announce = webhook.announce
        yield


def _startup(config: Config, find: Find, egress: Egress, sessions: Sessions) -> Startup:
    limits = Limits(
        slots=config.workers,
        tasks_per_browser=config.tasks_per_browser,
        max_browser_bytes=config.max_browser_bytes,
    )

    def make_pool(engine: Engine) -> BrowserPool:
        return BrowserPool(
            engine,
            egress,
            headless=config.headless,
            limits=limits,
            sessions=sessions,
            prepare=isolated.install,
        )

    return Startup(find if config.workers else None, make_pool)


def _egress(config: Config) -> Egress:
    allowed = [AllowedHost.parse(text) for text in config.allow_private_host]
    rules = Rules(allowed, trust_named=config.loopback_only)
    return Egress(rules, config.max_task_bytes)


def default_proxy(config: Config) -> Upstream | None:
    """Return the proxy of tasks that name none; the operator may have it at a private address."""
    if config.proxy_url is None:
        return None
    proxy = Proxy(
        server=config.proxy_url, username=config.proxy_username, password=config.proxy_secret
    )
    return Upstream.of(proxy, trusted=True)


async def serve(config: Config) -> None:
    """Run the service until SIGTERM or SIGINT; a second one ends running tasks at once.

    Raises:
        StartupError: it cannot listen where it should, or there is no browser that can be guarded.
    """
    logging.getLogger("aiohttp.server").addFilter(not_about_broken_http)
    logging.getLogger("asyncio").addFilter(not_about_given_up_calls)
    app = create_app(config, lambda tell: find_engine(config, tell))
    # Handlers are cancelled when their client hangs up: nobody waits for a long-poll then.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    files = raise_file_limit()
    async with signals() as (asked, insisted), AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        assert runner.server is not None  # noqa: S101 - it was set up
        app[DOOR].open_to(runner.server, files)
        listening = await _listen(app[DOOR], config)
        stack.callback(listening.close)
        _warn_if_open(config)
        # Clients wait for this line, and for the browser by /health.
        address = _address(listening)
        app[NODES].listening_at(*listening.sockets[0].getsockname()[:2])
        app[WAITS].link_base = config.dashboard_url or _reachable(address)
        line = f"captcha-bypass {__version__} listening on {address}"
        print(f"{line} (workers: {config.workers})", flush=True)
        await until_asked(asked, app[STARTUP].begin())
        await drain(
            app[QUEUE],
            app[SITES],
            config.shutdown_timeout,
            insisted,
            ready=app[STARTUP].is_ready,
        )


async def _listen(door: Door, config: Config) -> asyncio.Server:
    """Open the port."""
    where = f"{config.host}:{config.port}"
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(door, config.host, config.port, backlog=BACKLOG)
    except OSError as error:
        raise StartupError(f"cannot listen on {where}: {error.strerror}") from error
    except UnicodeError as error:
        raise StartupError(f"cannot listen on {where}: that is no host name") from error


def _address(listening: asyncio.Server) -> str:
    host, port = listening.sockets[0].getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _reachable(address: str) -> str:
    """Return an address of a service that listens on all of them by which this machine reaches it."""
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _warn_if_open(config: Config) -> None:
    if not config.loopback_only and not config.api_keys:
        logger.warning(
            "OPEN TO OTHERS: listening on %s without an API key, whoever reaches the port can open "
            "pages from this address; set --api-key, or --host 127.0.0.1",
            config.host,
        )
