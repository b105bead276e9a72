"""Checks 5 to 10: the browser's processes and preferences, and the machine that pages see."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections import Counter
from pathlib import Path

import psutil
from aiohttp import web

from captcha_bypass.browsers.launch.preferences import FIREFOX_PREFS, PREFS
from tests.verify.kit import Bench, Skip, check, commands

IDENTITY = """
const facts = (where) => ({where, agent: navigator.userAgent, platform: navigator.platform,
  cores: navigator.hardwareConcurrency, language: navigator.language});
const source = `const facts = ${facts.toString()};
  onconnect = (event) => event.ports[0].postMessage(facts("shared"));
  if (typeof DedicatedWorkerGlobalScope !== "undefined") postMessage(facts("worker"));`;
const url = URL.createObjectURL(new Blob([source]));
const worker = new Promise((done) => { new Worker(url).onmessage = (event) => done(event.data) });
const shared = new Promise((done) => {
  new SharedWorker(url).port.onmessage = (event) => done(event.data) });
const late = new Promise((done) => setTimeout(done, 5000, {where: "late"}));
const debug = document.createElement("canvas").getContext("webgl");
const name = debug && debug.getParameter(debug.getExtension("WEBGL_debug_renderer_info")
  ?.UNMASKED_RENDERER_WEBGL ?? debug.RENDERER);
return {all: [facts("window"), await Promise.race([worker, late]), await Promise.race([shared, late])],
  os: navigator.oscpu, gpu: name};
"""


#: What a browser's profile follows in its command.
PROFILE = {"-profile", "--profile"}


def _roots(bench: Bench) -> list[int]:
    """The first process of each browser: the only one whose command names a profile."""
    return [process.pid for process, words in commands(bench) if PROFILE & set(words)]


@check(5, "a browser is launched in time and has all the service's CPUs")
async def launch(bench: Bench) -> str:
    mine = os.sched_getaffinity(bench.service.process.pid)
    theirs = [os.sched_getaffinity(pid) for pid in _roots(bench)]
    assert theirs, "no browser process was found"
    assert all(cpus == mine for cpus in theirs), f"{theirs} instead of {mine}"
    ready = re.search(r"browser ready.*", bench.service.log)
    return f"{len(mine)} CPUs; {ready[0] if ready else 'no line about the launch'}"


@check(6, "every preference has its value and type, as far as the profile tells")
async def preferences(bench: Bench) -> str:
    wanted = FIREFOX_PREFS if bench.browser == "firefox" else PREFS
    words = psutil.Process(_roots(bench)[0]).cmdline()
    profile = Path(words[next(i for i, word in enumerate(words) if word in PROFILE) + 1])
    found: dict[str, object] = {}
    for name in ("user.js", "prefs.js"):
        if (profile / name).exists():
            text = (profile / name).read_text(errors="replace")
            for pref, value in re.findall(r'user_pref\("([^"]+)", (.*)\);', text):
                found[pref] = json.loads(value)
    told = wanted.keys() & found.keys()
    wrong = {n for n in told if (type(found[n]), found[n]) != (type(wanted[n]), wanted[n])}
    assert not wrong, f"other than asked for: {sorted(wrong)}"
    assert len(told) > len(wanted) / 4, f"the profile tells only of {sorted(told)}"
    return f"{len(told)} of {len(wanted)} as asked for; the rest are defaults or not written yet"


@check(7, "windows are not larger than the screen, pages not larger than windows")
async def sizes(bench: Bench) -> str:
    ask = "return [innerWidth, outerWidth, screen.width, innerHeight, outerHeight, screen.height]"
    seen = [await bench.facts(ask) for _ in range(3)]
    for facts in seen:
        assert facts[0] <= facts[1] <= facts[2], facts
        assert facts[3] <= facts[4] <= facts[5], facts
    return str(seen[0])


@check(8, "window and workers of four contexts are one machine")
async def identity(bench: Bench) -> str:
    pages = await asyncio.gather(*(bench.facts(IDENTITY) for _ in range(4)))
    for page in pages:
        agents = {json.dumps({**facts, "where": ""}) for facts in page["all"]}
        assert len(agents) == 1, page
        system = {"Win": "Windows", "Mac": "Mac", "Lin": "Linux"}[page["all"][0]["platform"][:3]]
        assert system in page["all"][0]["agent"], page
        assert system.removesuffix("dows")[:3] in (page["os"] or system), page
    first = pages[0]
    return f"{first['all'][0]['platform']}, {first['os']}, {first['gpu']}"


@check(9, "pages find an ordinary Firefox: codecs, prefetch, no user activation")
async def ordinary(bench: Bench) -> str:
    found = await bench.facts("""
        const video = document.createElement("video");
        const can = (type) => video.canPlayType(type);
        return {vp9: can('video/webm; codecs="vp09.00.10.08"'), active: navigator.userActivation
            .hasBeenActive, av1: can('video/webm; codecs="av01.0.04M.08"'), prefetch: document
            .createElement("link").relList.supports("prefetch"), driven: navigator.webdriver};""")
    assert found["vp9"] == found["av1"] == "probably", found
    assert found["active"] is False, found
    if bench.browser == "camoufox":
        assert found["prefetch"] is True, found
        assert found["driven"] is False, found
    return str(found)


@check(10, "a page that reloads twice asks once for what may be cached")
async def cache(bench: Bench) -> str:
    rounds: Counter[str] = Counter()

    def page(request: web.Request) -> web.Response:
        rounds["page"] += 1
        go_on = "<script>onload = () => location.reload()</script>"
        text = f"<img src=/kept.svg>{go_on if rounds['page'] < 3 else 'ready'}"
        return web.Response(text=text, content_type="text/html")

    def kept(request: web.Request) -> web.Response:
        return web.Response(
            text="<svg xmlns='http://www.w3.org/2000/svg'/>",
            content_type="image/svg+xml",
            headers={"Cache-Control": "max-age=600"},
        )

    bench.site.add("/kept.svg", kept)
    await bench.solve(bench.site.add("/reloads", page))
    assert bench.site.asked("/kept.svg") == 1, f"{bench.site.asked('/kept.svg')} requests"
    return "one request for three pages"


@check(20, "a page that spins does not hold up others: opened and closed in time")
async def spinning(bench: Bench) -> str:
    spinning = bench.site.add("/spins", "<p>spins</p><script>while (true) {}</script>")
    url = bench.site.url(spinning)
    before = (await bench.client.health())[1]["browsers"]["restarts"]
    task = await bench.client.submit(url=url, success_text="never", timeout=12)
    await bench.client.until_running(task)
    plain, took = bench.site.add("/plain", "<p>ready</p>"), []
    for _ in range(2 if bench.quick else 20):
        started = time.monotonic()
        await bench.solve(plain)
        took.append(round(time.monotonic() - started, 2))
    after = (await bench.client.health())[1]["browsers"]["restarts"]
    await bench.client.delete(task)
    killed = [cause for cause in ("open", "close") if after.get(cause, 0) > before.get(cause, 0)]
    assert not killed, f"browsers were killed: {killed}; slowest task {max(took)} s"
    return f"slowest of {len(took)} tasks: {max(took)} s"


@check(21, "many tasks in one browser: memory and windows")
async def many(bench: Bench) -> str:
    number = 5 if bench.quick else 100
    plain = bench.site.add("/plain", "<p>ready</p>")
    before = len(bench.service.content_processes())
    for _ in range(number):
        await bench.solve(plain)
    await asyncio.sleep(1)
    after = len(bench.service.content_processes())
    assert after <= before + 4, f"{before} content processes became {after}"
    return f"{number} tasks; content processes: {before}, then {after}"


@check(26, "real pages: fingerprint coherence, a real challenge, headless and virtual")
async def real(bench: Bench) -> str:
    if not bench.online:
        raise Skip("only with --online, which goes to real sites")
    view = await bench.client.solve(
        url="https://abrahamjuliot.github.io/creepjs/", success_text="FP ID", timeout=60
    )
    assert view["data"], view["error"]
    lies = re.search(r"lies \(?(\d+)", view["data"]["html"])
    return f"creepjs: {lies[0] if lies else 'no word of lies'}; look at a real challenge by hand"
