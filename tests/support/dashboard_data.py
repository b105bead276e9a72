"""What a service at work tells the operator's page."""

from __future__ import annotations

import time
from base64 import b64decode
from typing import Any

from playwright.async_api import Page

Json = dict[str, Any]


def status(**changes: object) -> Json:
    """Return the status of a service at work."""
    return {
        "now": time.time(),
        "version": "0.0.0",
        "state": "ok",
        "reason": None,
        "browser": "Firefox 156.0",
        "warning": None,
        "tasks": {"queued": 3, "running": 2, "slots": 4, "waiting_for_human": 0, "oldest": 4.2},
        "nodes": [],
        "browsers": [
            {"age": 320.0, "tasks": 1, "served": 34, "bytes": 612_000_000, "sessions": 1},
            {"age": 48.0, "tasks": 1, "served": 5, "bytes": 498_000_000, "sessions": 0},
        ],
        "starting": 0,
        "restarts": {"tasks": 3, "memory": 1},
        "sessions": [{"name": "shop", "idle": 12.5}, {"name": "forum", "idle": None}],
        "sites": [{"site": "https://example.com", "idle": 3.0}],
        "fetches": 1,
        "egress": {
            "failures": {"blocked_address": 4, "dns_error": 1},
            "bytes_sent": 1_200_000,
            "bytes_received": 84_000_000,
            "connections": 912,
        },
    } | changes


def task(number: int, **changes: object) -> Json:
    """Return a task of the list; those with higher numbers came later."""
    ended = time.time() - 600 + number
    return {
        "id": f"{number:032x}",
        "host": f"shop-{number}.example",
        "state": "completed",
        "outcome": "completed",
        "vendor": "cloudflare",
        "kind": "automatic",
        "why": None,
        "came_at": ended - 4,
        "started_at": ended - 3.5,
        "ended_at": ended,
        "seconds": 3.5,
        "evidence": False,
        "kept": True,
    } | changes


def details(entry: Json, **changes: object) -> Json:
    """Return what the page of a task shows."""
    url = f"https://{entry['host']}/page"
    return (
        entry
        | {
            "asked": {"url": url, "no_challenge": True, "timeout": 60, "cookies": ["sid"]},
            "documents": [
                {"at": 0.4, "status": 403, "url": url, "vendor": "cloudflare", "kind": "automatic"},
                {"at": 3.1, "status": 200, "url": url, "vendor": None, "kind": None},
            ],
            "unmet": [],
            "hints": [],
            "failed_requests": {"http_404": 2},
            "error": None,
            "status_code": 200,
            "url": url,
            "evidence": None,
            "waiting": None,
        }
        | changes
    )


def minutes(count: int = 60) -> list[Json]:
    """Return the charts' minutes of a busy hour."""
    begin = int(time.time() // 60) * 60 - 60 * (count - 1)
    found: list[Json] = []
    for index in range(count):
        done = {"completed": 12 + index % 7, "timeout": index % 3, "cancelled": index % 11 == 0}
        outcomes = {name: int(value) for name, value in done.items() if value}
        if index % 9 == 0:
            outcomes["dns_error"] = 2
        spread = {"p50": 2 + index % 5 / 2, "p95": 6.0 + index % 8}
        found.append({"at": begin + 60 * index, "outcomes": outcomes, **spread})
    return found


_RED = """([width, height]) => {
    const canvas = Object.assign(document.createElement("canvas"), {width, height});
    const context = canvas.getContext("2d");
    context.fillStyle = "#f00";
    context.fillRect(0, 0, width, height);
    return canvas.toDataURL("image/jpeg").split(",")[1];
}"""


async def jpeg(page: Page, width: int = 640, height: int = 360) -> bytes:
    """Return a picture of that size, red all over.

    A page draws it on a canvas: a browser that is busy fails to take screenshots.
    """
    return b64decode(await page.evaluate(_RED, [width, height]))
