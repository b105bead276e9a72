"""The dashboard as part of the application: its routes, and what ends with it."""

from __future__ import annotations

from aiohttp import web

from captcha_bypass.api.dashboard.access import DashboardAccess
from captcha_bypass.api.dashboard.feed import Feeds
from captcha_bypass.api.dashboard.live import LiveApi
from captcha_bypass.api.dashboard.pages import DashboardPages, add_headers
from captcha_bypass.api.dashboard.routes import DashboardApi
from captcha_bypass.config import Config
from captcha_bypass.history import History
from captcha_bypass.human.waits import Waits
from captcha_bypass.status import StatusBoard
from captcha_bypass.tasks.base import TaskQueue

LIVE = web.AppKey("LIVE", LiveApi)


def add_dashboard(
    app: web.Application,
    config: Config,
    access: DashboardAccess,
    queue: TaskQueue,
    board: StatusBoard,
    history: History,
    waits: Waits | None,
) -> None:
    """Add the dashboard to an application; its logins end with that."""
    feeds = Feeds(board, history)
    live = app[LIVE] = LiveApi(access, waits, queue, history)

    async def hang_up(_: web.Application) -> None:
        # Or a shutdown would wait for those who listen.
        feeds.hang_up()
        live.hang_up()

    async def close(_: web.Application) -> None:
        await feeds.close()
        await live.close()
        access.logins.close()

    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(hang_up)
    app.on_cleanup.append(close)
    app.add_routes(DashboardPages().routes())
    app.add_routes(DashboardApi(config, access, feeds, history, live).routes())
