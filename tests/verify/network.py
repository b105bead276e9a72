"""Checks 11 to 19 and 22 to 24: what goes out, what comes back, and what survives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import psutil
from aiohttp import web

from tests.verify.kit import Bench, check, commands


@contextlib.asynccontextmanager
async def peer(
    handle: Callable[[bytes], bytes | None],
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server of one answer a connection; yields its port and the heads it got."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            heads.append(head)
            answer = handle(head)
            if answer is None:
                writer.transport.abort()
                return
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


def page(text: str, status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\n{more}Connection: close\r\n"
    return f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode()


@check(11, "proxied tasks complete although the proxy reaches no third party")
async def proxied(bench: Bench) -> str:
    def only_ours(head: bytes) -> bytes:
        ours = head.startswith(b"GET http://site.test")
        return page("<p>ready</p>") if ours else page("", "502 Bad Gateway")

    number = 3 if bench.quick else 60
    async with peer(only_ours) as (port, heads):
        for _ in range(number):
            view = await bench.client.solve(
                url="http://site.test/",
                success_text="ready",
                timeout=30,
                proxy={"server": f"http://127.0.0.1:{port}"},
            )
            assert view["error"] is None, view["error"]
    others = {head.split()[1] for head in heads if b"site.test" not in head.split(b"\r\n")[0]}
    asked = sum(head.split()[1] in others for head in heads)
    assert asked <= 2, f"{asked} questions to {others} for {number} tasks"
    return f"{number} tasks, {asked} questions to others"


@check(12, "a reload that the server breaks off is an error at once")
async def broken_reload(bench: Bench) -> str:
    rounds: list[bytes] = []

    def once(head: bytes) -> bytes | None:
        if b"GET /favicon" in head:
            return page("", "404 Not Found")
        rounds.append(head)
        script = "<script>setTimeout(() => location.reload(), 300)</script>"
        return page(f"<p>wait</p>{script}") if len(rounds) == 1 else None

    async with peer(once) as (port, _):
        started = asyncio.get_running_loop().time()
        code = await bench.code(
            f"http://127.0.0.1:{port}/", no_challenge=None, success_text="never"
        )
        took = asyncio.get_running_loop().time() - started
    assert code == "connection_reset", code
    return f"{code} after {took:.1f} s"


@check(13, "what fails has the same code as with Firefox")
async def codes(bench: Bench) -> str:
    answers = {
        "/none": lambda _: web.Response(status=204),
        "/file": lambda _: web.Response(
            body=b"x" * 99, headers={"Content-Disposition": "attachment; filename=x.bin"}
        ),
        "/circle": lambda _: web.Response(status=302, headers={"Location": "/circle"}),
    }
    for path, answer in answers.items():
        bench.site.add(path, answer)
    async with peer(lambda _: None) as (port, _):
        wanted = {
            "http://127.0.0.1:65431/": "connection_refused",
            f"http://127.0.0.1:{port}/": "connection_reset",
            bench.site.url("/").replace("http:", "https:"): "tls_error",
            "http://nowhere.invalid/": "dns_error",
            bench.site.url("/none"): "not_a_page",
            bench.site.url("/file"): "not_a_page",
            bench.site.url("/circle"): "redirect_loop",
            "http://127.0.0.1:25/": "blocked_address",
        }
        found = {url: await bench.code(url) for url in wanted}
    wrong = {url: code for url, code in found.items() if code != wanted[url]}
    assert not wrong, wrong
    return ", ".join(found.values())


@check(14, "a site of plain http is not tried by https first")
async def plain_http(bench: Bench) -> str:
    async with peer(lambda _: page("<p>ready</p>")) as (port, heads):
        proxy = {"server": f"http://127.0.0.1:{port}"}
        view = await bench.client.solve(
            url="http://plain.test/", success_text="ready", timeout=10, proxy=proxy
        )
    assert view["data"], view["error"]
    tunnels = [head for head in heads if head.startswith(b"CONNECT plain.test")]
    assert not tunnels, f"{len(tunnels)} CONNECT"
    return f"{view['data']['elapsed']} s, no CONNECT"


@check(15, "nothing a page opens on this machine passes the guard")
async def guarded(bench: Bench) -> str:
    async with peer(lambda _: page("x")) as (port, heads):
        found = await bench.facts(f"""
            const urls = ["http://127.0.0.1:{port}/a", "http://localhost:{port}/b",
                "http://[::1]:{port}/c", "http://0.0.0.0:{port}/d"];
            const socket = new WebSocket("ws://127.0.0.1:{port}/e");
            const link = document.createElement("link");
            Object.assign(link, {{rel: "preconnect", href: "http://127.0.0.1:{port}"}});
            document.head.append(link);
            if ("WebTransport" in window)
                new WebTransport("https://127.0.0.1:{port}/f").ready.catch(() => 0);
            navigator.sendBeacon("http://127.0.0.1:{port}/g", "x");
            const asked = urls.map((url) => fetch(url, {{mode: "no-cors"}}).catch(() => 0));
            await Promise.all(asked);
            await new Promise((done) => setTimeout(done, 500));
            return socket.readyState;""")
    assert not heads, f"{len(heads)} requests came through"
    return f"none came through; the WebSocket is in state {found}"


@check(16, "pages send no UDP")
async def udp(bench: Bench) -> str:
    await bench.facts("""
        const link = new RTCPeerConnection({iceServers: [{urls: "stun:127.0.0.1:3478"}]});
        link.createDataChannel("x");
        await link.setLocalDescription(await link.createOffer());
        await new Promise((done) => setTimeout(done, 1000));
        return 1;""")
    open_ones = []
    for process in bench.service.process_tree():
        with contextlib.suppress(psutil.Error):
            open_ones += process.net_connections(kind="udp")
    assert not open_ones, open_ones
    return "no UDP socket in the browsers' processes"


@check(17, "requests look alike with and without own headers, block, cookies and form")
async def headers(bench: Bench) -> str:
    async with peer(lambda _: page("<p>ready</p>")) as (port, heads):
        url = f"http://127.0.0.1:{port}/"
        for more in (
            {},
            {"headers": {"X-Own": "1"}},
            {"block": ["image"]},
            {"cookies": [{"name": "a", "value": "b", "url": url}]},
        ):
            await bench.client.solved(url=url, success_text="ready", timeout=20, **more)
    lines = [head.decode().split("\r\n")[1:-2] for head in heads if head.startswith(b"GET / ")]
    names = [[line.split(":")[0] for line in head] for head in lines]
    own = [[name for name in each if name not in ("X-Own", "Cookie")] for each in names]
    # A request that is held back on its way is no longer marked as urgent.
    missing = [set(own[0]) - set(each) - {"Priority", "Connection"} for each in own]
    assert not any(missing), f"missing: {missing}, of {own[0]}"
    same = sum(each == own[0] for each in own)
    return f"{same} of {len(own)} in the same order: {', '.join(own[0])}"


@check(18, "cookies make the round trip")
async def cookies(bench: Bench) -> str:
    def sets(request: web.Request) -> web.Response:
        response = web.Response(text="<p>ready</p>", content_type="text/html")
        response.headers.add("Set-Cookie", "plain=1; Path=/; HttpOnly; SameSite=Lax")
        response.headers.add("Set-Cookie", "gone=1; Max-Age=0")
        return response

    path = bench.site.add("/cookies", sets)
    data = await bench.solve(path)
    assert [c["name"] for c in data["cookies"]] == ["plain"], data["cookies"]
    await bench.solve(path, cookies=data["cookies"])
    back = bench.site.seen[-1] if bench.site.seen[-1].path == path else bench.site.seen[-2]
    assert back.cookies.get("plain") == "1", dict(back.cookies)
    return "set, read, given back; __Host- and Partitioned need https: look at them with --online"


@check(19, "after a kill of page, browser or driver the next task completes")
async def kills(bench: Bench) -> str:
    plain = bench.site.add("/plain", "<p>ready</p>")
    for kind in ("page", "browser", "driver"):
        await bench.solve(plain)
        if kind == "page":
            victims = bench.service.content_processes()
        else:
            named = "run-driver" if kind == "driver" else "profile"
            victims = [p for p, words in commands(bench) if any(named in word for word in words)]
        assert victims, f"no {kind} to kill"
        for process in victims:
            with contextlib.suppress(psutil.Error):
                process.kill()
        await asyncio.sleep(1)  # what is made ahead for the next task has died as well
        await bench.solve(plain)
    return "three of three"


@check(22, "twenty sessions keep their cookies apart")
async def sessions(bench: Bench) -> str:
    def names(request: web.Request) -> web.Response:
        response = web.Response(
            text=f"<p>ready {request.cookies.get('me', 'nobody')}.</p>", content_type="text/html"
        )
        if who := request.query.get("me"):
            response.set_cookie("me", who)
        return response

    path, number = bench.site.add("/me", names), 3 if bench.quick else 20
    for index in range(number):
        await bench.solve(f"{path}?me={index}", session=f"verify-{index}")
    for index in range(number):
        data = await bench.solve(path, session=f"verify-{index}")
        assert f"ready {index}." in data["html"], data["html"][:200]
    return f"{number} sessions; time zones need two proxies: not checked"


@check(23, "a screenshot, and the page closes after it")
async def screenshot(bench: Bench) -> str:
    before = (await bench.client.health())[1]["browsers"]["restarts"]
    data = await bench.solve(bench.site.add("/plain", "<p>ready</p>"), screenshot=True)
    assert data["screenshot"], "none"
    await asyncio.sleep(0.5)
    after = (await bench.client.health())[1]["browsers"]["restarts"]
    assert after.get("close", 0) == before.get("close", 0), after
    return f"{len(data['screenshot'])} characters"


@check(24, "documents of other kinds: JSON, XHTML, XML, large, frames, shadow root")
async def documents(bench: Bench) -> str:
    site = bench.site
    xhtml = "<html xmlns='http://www.w3.org/1999/xhtml'><body><p>ready</p></body></html>"
    site.add("/json", lambda _: web.json_response({"ready": 1}))
    site.add("/xhtml", lambda _: web.Response(text=xhtml, content_type="application/xhtml+xml"))
    site.add("/xml", lambda _: web.Response(text="<a>ready</a>", content_type="text/xml"))
    site.add("/large", "<div>x</div>" * (200_000 if bench.quick else 800_000) + "<p>ready</p>")
    site.add("/inner", "<p>ready</p>")
    site.add("/frame", "<iframe src=/inner width=300 height=200></iframe>")
    shadow = "host.attachShadow({mode: 'open'}).innerHTML = '<p>ready</p>'"
    site.add("/shadow", f"<div id=host></div><script>{shadow}</script>")
    kinds = ("/json", "/xhtml", "/xml", "/large", "/frame", "/shadow")
    sizes = {path: len((await bench.solve(path))["html"]) for path in kinds}
    return str(sizes)
