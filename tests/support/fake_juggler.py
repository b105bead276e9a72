"""A peer that speaks Juggler, Camoufox' protocol, in the place of its binary.

Run as a program (`-m tests.support.fake_juggler FOLDER ARGUMENTS...`), as Playwright's driver runs a browser: it
writes all it was given to files in FOLDER and does what the path of a URL says. It proves what we
send and how we take what comes; not what Camoufox does with it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.fake_juggler_fetch import NoAnswer
from tests.support.fake_juggler_scripts import ScriptedPage

Json = dict[str, Any]
#: File names: what it was started with, every message in order, methods that get no answer.
STARTED, MESSAGES, SILENT = "started.json", "messages.jsonl", "silent"


class Peer:
    """One browser."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read, self._write = os.fdopen(3, "rb", 0), os.fdopen(4, "wb", 0)
        self._proxies: dict[str, tuple[str, int]] = {}
        self._contexts: dict[str, str] = {}  # session -> context
        self._pages: dict[str, ScriptedPage] = {}  # by session
        #: Sessions whose requests are held up, and those that are: request -> session, URL, navigation.
        self._holding: set[str] = set()
        self._held: dict[str, tuple[str, str, str]] = {}
        self._later: list[tuple[float, str, str]] = []
        self._made = 0

    def run(self) -> None:
        buffer = b""
        os.set_blocking(3, False)
        while True:
            data = self._read.read(65536)
            if data == b"":
                return
            buffer += data or b""
            *whole, buffer = buffer.split(b"\0")
            for message in whole:
                self._take(json.loads(message))
            for due, session, url in [item for item in self._later if item[0] < time.monotonic()]:
                self._later.remove((due, session, url))
                self._fail(session, url, "NS_ERROR_NET_RESET")
                self._commit(session, url, f"about:neterror?e=netReset&u={url}")
            time.sleep(0.005)

    def _take(self, message: Json) -> None:
        # At one go: another peer may write to it, too.
        with (self._folder / MESSAGES).open("ab", buffering=0) as file:
            file.write(json.dumps(message).encode() + b"\n")
        method, session = message["method"], message.get("sessionId")
        silent = self._folder / SILENT
        if silent.exists() and method in silent.read_text().split():
            return
        params = message.get("params") or {}
        call = getattr(self, "_on_" + method.replace(".", "_"), _nothing)
        try:
            answer = {"result": call(session, params)}
        except NoAnswer:
            return
        self._send({"id": message["id"], **answer, **({"sessionId": session} if session else {})})
        if method == "Browser.close":
            sys.exit()

    def _send(self, message: Json) -> None:
        self._write.write(json.dumps(message).encode() + b"\0")

    def _tell(self, session: str | None, event: str, **params: object) -> None:
        self._send(
            {"method": event, "params": params} | ({"sessionId": session} if session else {})
        )

    def _number(self) -> int:
        self._made += 1
        return self._made

    def _on_Browser_getInfo(self, *_: object) -> Json:
        return {"version": "Firefox/156.0.1", "userAgent": "Mozilla/5.0 (fake)"}

    def _on_Browser_createBrowserContext(self, *_: object) -> Json:
        return {"browserContextId": f"context{self._number()}"}

    def _on_Browser_setContextProxy(self, _: object, params: Json) -> Json:
        self._proxies[params["browserContextId"]] = params["host"], params["port"]
        return {}

    def _on_Browser_newPage(self, _: object, params: Json) -> Json:
        number = self._number()
        session, context = f"session{number}", params["browserContextId"]
        self._contexts[session] = context
        self._pages[session] = ScriptedPage(partial(self._tell, session))
        target = {"targetId": f"target{number}", "browserContextId": context, "type": "page"}
        self._tell(None, "Browser.attachedToTarget", sessionId=session, targetInfo=target)
        self._tell(session, "Page.frameAttached", frameId="main")
        self._commit(session, "about:blank", "about:blank")
        self._tell(session, "Page.ready")
        return {"targetId": target["targetId"]}

    def _on_Browser_getCookies(self, *_: object) -> Json:
        return {"cookies": []}

    def _on_Page_navigate(self, session: str, params: Json) -> Json:
        url = params["url"]
        if url == "about:blank":
            navigation = f"n{self._number()}"
            self._commit(session, url, url, navigation)
            return {"navigationId": navigation}
        if urlsplit(url).hostname != "fake.test":  # the self-check: ask the proxy for it
            self._fail(session, url, self._through_proxy(session, url))
            return {"navigationId": f"n{self._made}"}
        kind, _, detail = urlsplit(url).path.strip("/").partition("/")
        if kind == "fail":
            self._fail(session, url, unquote(detail))
            return {"navigationId": f"n{self._made}"}
        is_held = session in self._holding
        self._request(session, url, is_held=is_held)
        navigation = f"n{self._made}"
        if is_held:
            self._held[f"r{self._made}"] = session, url, navigation
            return {"navigationId": navigation}
        self._receive(session, f"r{self._made}", 200, [("Content-Type", "text/html")])
        self._commit(session, url, url, navigation)
        if kind == "crash":
            self._tell(session, "Page.crashed")
        if kind == "exit":
            os._exit(1)
        if kind == "error-page":
            self._later.append((time.monotonic() + 0.5, session, url))
        return {"navigationId": navigation}

    def _on_Network_setRequestInterception(self, session: str, params: Json) -> Json:
        (self._holding.add if params["enabled"] else self._holding.discard)(session)
        return {}

    def _on_Network_fulfillInterceptedRequest(self, _: str, params: Json) -> Json:
        session, url, navigation = self._held.pop(params["requestId"])
        headers = [(header["name"], header["value"]) for header in params["headers"]]
        self._receive(session, params["requestId"], params["status"], headers)
        self._commit(session, url, url, navigation)
        return {}

    def _receive(
        self, session: str, request: str, status: int, headers: list[tuple[str, str]]
    ) -> None:
        self._tell(
            session,
            "Network.responseReceived",
            requestId=request,
            status=status,
            statusText="OK",
            headers=[{"name": name, "value": value} for name, value in headers],
            fromServiceWorker=False,
            timing=dict.fromkeys(("startTime",), 1000),
        )

    def _request(self, session: str, url: str, *, is_held: bool = False) -> None:
        self._number()
        self._tell(
            session,
            "Network.requestWillBeSent",
            frameId="main",
            requestId=f"r{self._made}",
            navigationId=f"n{self._made}",
            url=url,
            method="GET",
            headers=[],
            postData="",
            cause="TYPE_DOCUMENT",
            internalCause="TYPE_DOCUMENT",
            isIntercepted=is_held,
        )

    def _fail(self, session: str, url: str, code: str) -> None:
        self._request(session, url)
        self._tell(session, "Network.requestFailed", requestId=f"r{self._made}", errorCode=code)
        self._tell(
            session,
            "Page.navigationAborted",
            frameId="main",
            navigationId=f"n{self._made}",
            errorText=code,
        )

    def _commit(self, session: str, url: str, shown: str, navigation: str = "") -> None:
        self._pages[session].shown = shown
        self._tell(session, "Runtime.executionContextsCleared")
        self._tell(
            session,
            "Page.navigationCommitted",
            frameId="main",
            url=url,
            name="",
            navigationId=navigation,
        )
        for world in ("", "__playwright_utility_world__"):
            identity = {"frameId": "main", "name": world}
            name = f"world{self._number()}"
            self._tell(
                session,
                "Runtime.executionContextCreated",
                executionContextId=name,
                auxData=identity,
            )
        for name in ("DOMContentLoaded", "load"):
            self._tell(session, "Page.eventFired", frameId="main", name=name)

    def _on_Runtime_evaluate(self, *_: object) -> Json:
        return {"result": {"type": "object", "objectId": f"object{self._number()}"}}

    def _on_Runtime_callFunction(self, session: str, params: Json) -> Json:
        if not params["returnByValue"]:
            return self._on_Runtime_evaluate()
        return {"result": {"value": self._pages[session].call(params["args"])}}

    def _through_proxy(self, session: str, url: str) -> str:
        parts = urlsplit(url)
        host = f"{parts.hostname}:{parts.port}"
        head = f"GET {url}" if parts.scheme == "http" else f"CONNECT {host}"
        with socket.create_connection(self._proxies[self._contexts[session]]) as proxy:
            proxy.sendall(f"{head} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            proxy.recv(65536)
        return "NS_ERROR_PROXY_CONNECTION_REFUSED"


def _nothing(*_: object) -> Json:
    return {}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    marks = {name: value for name, value in os.environ.items() if name.startswith("CA")}
    (place / STARTED).write_text(json.dumps({"argv": sys.argv[2:], "env": marks}))
    print("Juggler listening to the pipe", flush=True)
    Peer(place).run()
