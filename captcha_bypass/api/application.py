"""The API as one aiohttp application: what every request passes, and all routes."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from captcha_bypass.api.access import guards
from captcha_bypass.api.dashboard.access import DashboardAccess
from captcha_bypass.api.dashboard.application import add_dashboard
from captcha_bypass.api.dashboard.logins import Logins
from captcha_bypass.api.door import Door
from captcha_bypass.api.errors import answered_as_json, refused
from captcha_bypass.api.fetch import FetchApi
from captcha_bypass.api.fetch_places import Fetching, FetchPlaces
from captcha_bypass.api.flaresolverr import errors as flaresolverr
from captcha_bypass.api.flaresolverr.routes import FlareSolverrApi
from captcha_bypass.api.metrics import MetricsApi
from captcha_bypass.api.native.evidence import EvidenceApi
from captcha_bypass.api.native.routes import OPEN_PATHS, NativeApi
from captcha_bypass.api.refusals import Refusals
from captcha_bypass.api.sessions import Sessions
from captcha_bypass.config import Config
from captcha_bypass.history import History
from captcha_bypass.human.waits import Waits
from captcha_bypass.metrics import Metrics
from captcha_bypass.sharing.clearances import Clearances, Refusable
from captcha_bypass.status import StatusBoard
from captcha_bypass.tasks.base import TaskQueue

#: Bytes of a request body: 300 cookies of ordinary size fit in.
MAX_BODY_BYTES = 256 * 1024

DOOR = web.AppKey("DOOR", Door)


def application(
    config: Config,
    queue: TaskQueue,
    sessions: Sessions,
    board: StatusBoard,
    metrics: Metrics,
    fetching: Fetching,
    history: History | None = None,
    waits: Waits | None = None,
    clearances: Refusable | None = None,
    *,
    is_peer: Callable[[web.Request], bool] = lambda request: False,
) -> web.Application:
    """Return the API over a queue; `app[DOOR]` makes the protocols of its connections.

    Args:
        history: What the queue is observed by.
        waits: Pages that wait for a person, whom the dashboard shows them to.
        is_peer: Whether a request is that of a service which shares the queue, and needs no key.
        clearances: Those that the queue answers from; None: it does not.
    """
    if clearances is None:
        clearances = Clearances(config.clearance_ttl)
    refusals = Refusals(metrics.refused)
    door = Door(refusals)
    access = DashboardAccess(config, Logins())
    app = web.Application(
        middlewares=[door.middleware(), *middlewares(config, refusals, access, is_peer)],
        client_max_size=MAX_BODY_BYTES,
    )
    app[DOOR] = door
    history = History() if history is None else history

    async def close(_: web.Application) -> None:
        refusals.close()

    app.on_cleanup.append(close)
    native = NativeApi(config, queue, sessions, board, history, clearances)
    app.add_routes(native.routes())
    app.add_routes(EvidenceApi(config, history.evidence).routes())
    places = FetchPlaces(config, fetching, metrics.fetch_ended)
    app.add_routes(FetchApi(config, places).routes())
    drop_in = FlareSolverrApi(config, queue, sessions, board, places, report=metrics.v1_request)
    app.add_routes(drop_in.routes())
    app.add_routes(MetricsApi(metrics, board).routes())
    add_dashboard(app, config, access, queue, board, history, waits)
    return app


def middlewares(
    config: Config,
    refusals: Refusals,
    access: DashboardAccess,
    is_peer: Callable[[web.Request], bool] = lambda request: False,
) -> list[Middleware]:
    """Return what every request passes before its route, the outermost first.

    Args:
        refusals: Told of each request that is refused.
        access: Says what of the dashboard is open, and which cookies stand for keys.
        is_peer: See `application`.
    """

    def is_open(request: web.Request) -> bool:
        reading = request.method in ("GET", "HEAD")
        is_public = reading and request.path in OPEN_PATHS
        return is_public or access.is_open(request) or is_peer(request)

    return [
        answered_as_json,
        flaresolverr.answered,
        refused(refusals),
        access.middleware(),
        *guards(
            config,
            is_open=is_open,
            elsewhere=flaresolverr.KEY_IN_URL,
            by_cookie=access.key_place,
        ),
    ]
