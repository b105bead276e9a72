"""The status as the dashboard's page takes it."""

from __future__ import annotations

import time
from dataclasses import asdict

from captcha_bypass import __version__
from captcha_bypass.status import Status
from captcha_bypass.tasks.base import JsonDict


def view_of(status: Status) -> JsonDict:
    """Return a status as JSON; ages are seconds, `now` is of the epoch."""
    readiness, tasks, browsers = status.readiness, status.tasks, status.browsers
    return {
        "now": round(time.time(), 3),
        "version": __version__,
        "state": _state(status),
        "reason": None if status.stopping else status.obstacle,
        "browser": readiness.browser,
        "warning": readiness.warning,
        "tasks": {
            "queued": tasks.queued,
            "running": tasks.running,
            "slots": tasks.slots,
            "waiting_for_human": tasks.waiting_for_human,
            "oldest": round(tasks.oldest, 1),
        },
        "nodes": [asdict(node) for node in tasks.nodes],
        "browsers": [{**asdict(each), "age": round(each.age, 1)} for each in browsers.each],
        "starting": browsers.starting,
        "restarts": browsers.restarts,
        "sessions": [{"name": each.name, "idle": round(each.idle, 1)} for each in status.sessions],
        "sites": [{"site": each.name, "idle": round(each.idle, 1)} for each in status.sites],
        "fetches": status.fetches.running,
        "egress": asdict(status.egress),
    }


def without_clocks(view: JsonDict) -> JsonDict:
    """Return a view as far as it changes by what happens, not by time alone."""
    return {
        **view,
        "now": None,
        "tasks": {**view["tasks"], "oldest": None},
        "browsers": [
            # What pages hold goes up and down all the time, by less than is shown.
            {**each, "age": None, "bytes": each["bytes"] >> 20}
            for each in view["browsers"]
        ],
        "sessions": [each["name"] for each in view["sessions"]],
        "sites": [each["site"] for each in view["sites"]],
    }


def _state(status: Status) -> str:
    if status.stopping:
        return "stopping"
    if status.obstacle is not None:
        return "unavailable"
    return "starting" if status.readiness.starting else "ok"
