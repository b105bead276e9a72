"""Runs inside a network namespace of its own and prints what happened there as JSON.

`python -m tests.attacks.inside <scenario>`: see the functions in `SCENARIOS`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from playwright.async_api import ProxySettings

from tests.attacks.arena import Arena, arena, attack_task, solve_all, tasks_going_to
from tests.attacks.bare import attack_all, bare_firefox, go_elsewhere, shows_secret
from tests.attacks.catalogue import IN_NAMESPACE
from tests.attacks.dns import NameServer
from tests.attacks.network import PRIVATE, PUBLIC, SITE, ZONE, build
from tests.attacks.proxy import Proxy
from tests.attacks.report import Report
from tests.attacks.sniffer import Sniffer
from tests.attacks.target import SECRET
from tests.support.service import eventually, run_service
from tests.support.solve_client import Client, Json, client_of

_TEN = PRIVATE["ten"]
_REBINDING = f"http://rebind.{SITE}/rebinding"
_REBINDING_TASK: Json = {"url": _REBINDING, "success_text": "attacks are over"}
_THROUGH_PROXY = f"http://{SITE}/hit/proxy"
#: What a task may name, and a service that others can use too must refuse.
_NAMED = {
    **{word: f"[{a}]" if ":" in a else a for word, a in PRIVATE.items()},
    "name": f"internal.{SITE}",
    "both": f"both.{SITE}",
    # Public when an earlier task asked for it, and no longer.
    "rebound": f"rebind.{SITE}",
    "loopback": "127.0.0.1",
    "loopback-ipv6": "[::1]",
    "localhost": "localhost",
    "mapped": f"[::ffff:{_TEN}]",
}


@dataclasses.dataclass
class World:
    """Everything that runs in the namespace."""

    place: Arena
    dns: NameServer
    sniffer: Sniffer
    #: At the attacker's public address too.
    proxy: Proxy

    @property
    def own_proxy(self) -> ProxySettings:
        return {"server": f"http://{PUBLIC}:{self.proxy.port}"}

    def report(self, views: dict[str, Json], told: Iterable[str] = ()) -> Report:
        report = self.place.report(views, told)
        report.proxied = sorted(self.proxy.asked)
        names = self.dns.names
        looked_up = {v.name for v in IN_NAMESPACE if v.kind.trace == "dns" and v.host in names}
        report.hits = sorted({*report.hits, *looked_up})
        report.opened = [list(where) for where in sorted(self.sniffer.opened)]
        report.sent = [list(where) for where in sorted(self.sniffer.sent)]
        report.names = sorted(names)
        return report


@asynccontextmanager
async def _world() -> AsyncIterator[World]:
    dns = NameServer(ZONE)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: dns, local_addr=("127.0.0.1", 53))
    targets = ["127.0.0.1", "::1", *PRIVATE.values()]
    async with arena(
        IN_NAMESPACE, target_hosts=targets, site_host=PUBLIC, name=SITE, ports=(80, 80)
    ) as place:
        with Sniffer() as sniffer:
            async with Proxy(PUBLIC, {SITE}) as proxy:
                yield World(place, dns, sniffer, proxy)


async def bare() -> Report:
    """A stock Firefox without any guard."""
    async with _world() as world, bare_firefox() as browser:
        await attack_all(browser, world.place)
        told = await go_elsewhere(browser, world.place, _TEN)
        page = await browser.new_page()
        await page.goto(_REBINDING, wait_until="commit")
        if await shows_secret(page):
            told.append("rebinding")
        await page.close()
        page = await browser.new_page(proxy={"server": f"http://{_TEN}:80"})
        await page.goto(_THROUGH_PROXY, wait_until="commit")
        if await shows_secret(page):
            told.append("proxy")
        page = await browser.new_page(proxy=world.own_proxy)
        await page.goto(f"{world.place.base}/attack?only=fetch", wait_until="commit")
        await eventually(lambda: set(PRIVATE.values()) <= world.proxy.asked, 30)
        return world.report({}, told)


async def open_to_all() -> Report:
    """A service that others can use too: no task may name anything private."""

    async def attack(world: World, client: Client) -> dict[str, Json]:
        private = {"server": f"http://{_TEN}:80"}
        proxied = {"url": _THROUGH_PROXY, "success_text": SECRET, "proxy": private}
        going = tasks_going_to(world.place, _TEN)
        return {
            **await solve_all(client, {"rebinding": _REBINDING_TASK}),
            **await solve_all(client, {**_naming_private(world), **going, "proxy": proxied}),
            **await solve_all(client, {"attack": attack_task(world.place)}),
        }

    return await _through_service(attack, "--host", "0.0.0.0")


def _naming_private(world: World) -> dict[str, Json]:
    url = world.place.target.url
    return {
        f"named {word}": {"url": url("named", host), "success_text": SECRET}
        for word, host in _NAMED.items()
    }


async def allowing() -> Report:
    """Likewise, but one private address may be named; and a task brings a public proxy along."""

    async def attack(world: World, client: Client) -> dict[str, Json]:
        url = world.place.target.url
        named = {
            word: {"url": url(f"named.{word}", PRIVATE[word]), "success_text": SECRET}
            for word in ("ten", "home")
        }
        attack = attack_task(world.place, proxy=world.own_proxy)
        return {
            **await solve_all(client, named),
            **await solve_all(client, {"through own proxy": attack}),
        }

    return await _through_service(attack, "--host", "0.0.0.0", "--allow-private-host", _TEN)


async def to_oneself() -> Report:
    """A service on loopback: a task may name what is private, but pages may not go there.

    Nor may what a session's first site leaves behind, while its next task names what is private.
    """

    async def attack(world: World, client: Client) -> dict[str, Json]:
        named = {"url": world.place.target.url("named", _TEN), "success_text": SECRET}
        top = tasks_going_to(world.place, _TEN, ["top-302"])
        return {
            # First: for others the service starts a browser beside the session's, which the rest needs.
            **await _leave_worker_behind(world, client),
            **await solve_all(client, {"named": named, **top, "rebinding": _REBINDING_TASK}),
            **await solve_all(client, {"attack": attack_task(world.place)}),
        }

    async with _site_with_worker():
        with tempfile.TemporaryDirectory() as folder:
            browser = _firefox_with_workers(Path(folder))
            return await _through_service(attack, "--browser-path", str(browser))


_WITH_WORKER = f"http://{SITE}:8080/"


@asynccontextmanager
async def _site_with_worker() -> AsyncIterator[None]:
    app = web.Application()
    app.add_routes([web.get("/worker.js", _worker), web.get("/", _leaving)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, PUBLIC, 8080).start()
        yield
    finally:
        await runner.cleanup()


async def _leave_worker_behind(world: World, client: Client) -> dict[str, Json]:
    named = world.place.target.url("session", _TEN)
    views: dict[str, Json] = {}
    for name, url, text in (
        ("leaving", _WITH_WORKER, "left a worker"),
        ("named in session", named, SECRET),
        # Had the worker got through, it would have by now: it tries twenty times a second.
        ("back", _WITH_WORKER, "been here"),
    ):
        task = {"url": url, "success_text": text, "session": "mine"}
        views |= await solve_all(client, {name: task})
    await client.end_session("mine")
    return views


_LEAVING = """<!doctype html><p id=out>new here</p><script>
if (localStorage.seen && document.cookie.includes("seen=1")) out.textContent = "been here";
localStorage.seen = 1; document.cookie = "seen=1";
navigator.serviceWorker.register("/worker.js").then(() => out.textContent += " left a worker");
</script>"""
_WORKER = """oninstall = event => event.waitUntil(new Promise(() => {
  setInterval(() => fetch("TARGET", {mode: "no-cors"}).catch(() => {}), 50);
}));"""


async def _leaving(_: web.Request) -> web.Response:
    return web.Response(text=_LEAVING, content_type="text/html")


async def _worker(_: web.Request) -> web.Response:
    text = _WORKER.replace("TARGET", f"http://{_TEN}/hit/worker")
    return web.Response(text=text, content_type="text/javascript")


def _firefox_with_workers(folder: Path) -> Path:
    """Return a Firefox that lets sites without https have service workers."""
    firefox = shutil.which("firefox-esr") or shutil.which("firefox")
    script = folder / "firefox"
    script.write_text(f"""#!/bin/sh
last=
for word in "$@"; do
  case "$last" in -profile|--profile)
    echo 'user_pref("dom.serviceWorkers.testing.enabled", true);' >> "$word/user.js" ;; esac
  last=$word
done
exec {firefox} "$@"
""")
    script.chmod(0o700)
    return script


async def _through_service(
    attack: Callable[[World, Client], Awaitable[dict[str, Json]]], *flags: str
) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        async with _world() as world:
            with run_service(Path(folder), "--workers", "2", *flags) as service:
                async with client_of(service) as client:
                    await client.until_warm()
                    views = await attack(world, client)
            return world.report(views)


SCENARIOS = {
    "bare": bare,
    "open_to_all": open_to_all,
    "allowing": allowing,
    "to_oneself": to_oneself,
}


def main() -> None:
    build()
    print(json.dumps(dataclasses.asdict(asyncio.run(SCENARIOS[sys.argv[1]]()))))


if __name__ == "__main__":
    main()
