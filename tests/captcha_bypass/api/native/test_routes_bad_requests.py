"""Requests that no task can be made of are refused by the field at fault; all others become tasks."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from pydantic import ValidationError

from captcha_bypass.tasks.base import Stats
from captcha_bypass.wire.models import SolveRequest
from captcha_bypass.wire.task import Task
from tests.support.native_service import JSON, MakeService, Service, but, cookie, error_of
from tests.support.native_tasks import BASE, SOLUTION
from tests.support.scripted_queue import until

CANARY = "CANARY-d41d8cd9"


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in BASE.items() if name not in names}


def raw(text: str) -> bytes:
    """The good request as text, with a timeout that json.dumps would not write."""
    return b'{"url":"http://site.test/","success_text":"x","timeout":' + text.encode() + b"}"


def proxy(**fields: object) -> dict[str, Any]:
    return but(proxy={"server": "http://proxy.test:3128", **fields})


def header(name: str, value: object = "x") -> dict[str, Any]:
    return but(headers={name: value})


BAD_URLS = {
    "empty": "",
    "no scheme": "site.test/page",
    "relative": "/page",
    "scheme only": "http://",
    "no host": "http:///page",
    "no slashes": "http:site.test",
    "one slash": "http:/site.test",
    "backslashes": "http:\\\\site.test",
    "query for a host": "http://?x",
    "password that no parser likes": f"http://user:{CANARY}\u2100@site.test/",
    "host that no parser likes": "http://site\u2100.test/",
    "ftp": "ftp://site.test/",
    "file": "file:///etc/passwd",
    "about": "about:blank",
    "about:config": "about:config",
    "javascript": "javascript:alert(1)",
    "data": "data:text/html,x",
    "view-source": "view-source:http://site.test/",
    "ws": "ws://site.test/",
    "user and password": f"http://user:{CANARY}@site.test/",
    "password only": f"http://:{CANARY}@site.test/",
    "user only": "http://user@site.test/",
    "nobody": "http://@site.test/",
    "password after one slash": f"http:/user:{CANARY}@site.test/",
    "password after backslashes": f"http:\\\\user:{CANARY}@site.test/",
    "2049 characters": "http://site.test/" + "x" * (2049 - 17),
    "space in the host": "http://si te.test/",
    "space in the path": "http://site.test/a b",
    "leading space": " http://site.test/",
    "trailing newline": "http://site.test/\n",
    "newline inside": "http://site.test/\r\nX-Injected: 1",
    "tab": "http://site.test/\t",
    "NUL": "http://site.test/\x00",
    "port too large": "http://site.test:65536/",
    "port not a number": "http://site.test:http/",
    "negative port": "http://site.test:-1/",
    "open IPv6 bracket": "http://[::1/",
    "bad IPv6": "http://[::g]/",
    "IPv4 part too large": "http://256.1.1.1/",
    "bad percent in the host": "http://si%te.test/",
    "angle brackets in the host": "http://<site>.test/",
}


BAD_PROXIES = {
    "a word": "proxy",
    "no scheme": "proxy.test:3128",
    "ftp": "ftp://proxy.test:21",
    "socks4": "socks4://proxy.test:1080",
    "no port, http": "http://proxy.test",
    "no port, https": "https://proxy.test/",
    "no port, socks5": "socks5://proxy.test",
    "empty port": "http://proxy.test:",
    "port 0": "http://proxy.test:0",
    "port too large": "http://proxy.test:70000",
    "path": "http://proxy.test:3128/path",
    "query": "http://proxy.test:3128?x=1",
    "fragment": "http://proxy.test:3128#x",
    "userinfo": f"http://user:{CANARY}@proxy.test:3128",
    "user": "http://user@proxy.test:3128",
    "no host": "http://:3128",
    "newline": "http://proxy.test:3128\n",
    "empty": "",
}


REFUSED: dict[str, tuple[object, list[str]]] = {
    "missing url": (without("url"), ["url"]),
    "missing timeout": (without("timeout"), ["timeout"]),
    "missing url and timeout": (without("url", "timeout"), ["url", "timeout"]),
    "missing condition": (without("success_text"), ["success_text"]),
    "null conditions": (
        but(success_text=None, success_selector=None, no_challenge=None),
        ["success_text"],
    ),
    "no_challenge false alone": (but(success_text=None, no_challenge=False), ["success_text"]),
    "empty object": ({}, ["url", "timeout"]),
    "unknown field": (but(sucess_text="x"), ["sucess_text"]),
    "field in other case": (but(URL="http://site.test/"), ["URL"]),
    "several at once": (
        but(url="ftp://site.test/", timeout=0, block="image", xyz=1),
        ["url", "timeout", "block", "xyz"],
    ),
    **{f"url: {name}": (but(url=url), ["url"]) for name, url in BAD_URLS.items()},
    "url: null": (but(url=None), ["url"]),
    "url: number": (but(url=5), ["url"]),
    "url: list": (but(url=["http://site.test/"]), ["url"]),
    "timeout: 0": (but(timeout=0), ["timeout"]),
    "timeout: negative": (but(timeout=-1), ["timeout"]),
    "timeout: text": (but(timeout="10"), ["timeout"]),
    "timeout: true": (but(timeout=True), ["timeout"]),
    "timeout: null": (but(timeout=None), ["timeout"]),
    "timeout: list": (but(timeout=[10]), ["timeout"]),
    "timeout: NaN": (raw("NaN"), ["timeout"]),
    "timeout: Infinity": (raw("Infinity"), ["timeout"]),
    "timeout: -Infinity": (raw("-Infinity"), ["timeout"]),
    "timeout: 1e9": (raw("1e9"), ["timeout"]),
    "timeout: 1e999": (raw("1e999"), ["timeout"]),
    "timeout: 400 digits": (raw("9" * 400), ["timeout"]),
    "timeout: just over the maximum": (but(timeout=300.001), ["timeout"]),
    "success_text: empty": (but(success_text=""), ["success_text"]),
    "success_text: blank": (but(success_text=" \t\n"), ["success_text"]),
    "success_text: no-break spaces": (but(success_text="\u00a0\u3000"), ["success_text"]),
    "success_text: zero width": (but(success_text="\u200b\u2060\ufeff"), ["success_text"]),
    "success_text: number": (but(success_text=5), ["success_text"]),
    "success_text: object": (but(success_text={"a": "b"}), ["success_text"]),
    "success_text: no item": (but(success_text=[]), ["success_text"]),
    "success_text: 17 items": (but(success_text=["Welcome"] * 17), ["success_text"]),
    "success_text: blank item": (but(success_text=["Welcome", " "]), ["success_text.1"]),
    "success_text: item too long": (but(success_text=["x" * 4097]), ["success_text.0"]),
    "success_text: list in a list": (but(success_text=[["Welcome"]]), ["success_text.0"]),
    "success_selector: item too long": (
        but(success_selector=["a", "x" * 1025]),
        ["success_selector.1"],
    ),
    "success_text: too long": (but(success_text="x" * 4097), ["success_text"]),
    "success_selector: empty": (but(success_selector=""), ["success_selector"]),
    "success_selector: number": (but(success_selector=5), ["success_selector"]),
    "no_challenge: text": (but(no_challenge="yes"), ["no_challenge"]),
    "no_challenge: number": (but(no_challenge=1), ["no_challenge"]),
    "proxy: string": (but(proxy="http://proxy.test:3128"), ["proxy"]),
    "proxy: empty object": (but(proxy={}), ["proxy.server"]),
    "proxy: no server": (but(proxy={"username": "u", "password": CANARY}), ["proxy.server"]),
    "proxy: unknown field": (proxy(bypass="*"), ["proxy.bypass"]),
    **{
        f"proxy server: {name}": (proxy(server=server, password=None), ["proxy.server"])
        for name, server in BAD_PROXIES.items()
    },
    "proxy: null server": (proxy(server=None), ["proxy.server"]),
    "proxy: socks5 username beyond ASCII": (
        proxy(server="socks5://proxy.test:1080", username="\u00fc", password=CANARY),
        ["proxy.username"],
    ),
    "proxy: socks5 username of 256 bytes": (
        proxy(server="socks5://proxy.test:1080", username="u" * 256, password=CANARY),
        ["proxy.username"],
    ),
    "proxy: socks5 empty password": (
        proxy(server="socks5://proxy.test:1080", username="u", password=""),
        ["proxy.password"],
    ),
    "proxy: socks5 password of 256 bytes": (
        proxy(server="socks5://proxy.test:1080", username="u", password="x" * 256),
        ["proxy.password"],
    ),
    "proxy: password without username": (proxy(password=CANARY), ["proxy.password"]),
    "proxy: empty username": (proxy(username="", password=CANARY), ["proxy.username"]),
    "proxy: number as password": (proxy(username="u", password=5), ["proxy.password"]),
    "cookies: object": (but(cookies={"a": "b"}), ["cookies"]),
    "cookies: text": (but(cookies="a=b"), ["cookies"]),
    "cookies: null": (but(cookies=None), ["cookies"]),
    "cookies: 3001": (but(cookies=[{"name": "a", "value": "b"}] * 3001), ["cookies"]),
    "cookies: text inside": (but(cookies=["a=b"]), ["cookies.0"]),
    "cookie: no name": (but(cookies=[{"value": CANARY}]), ["cookies.0.name"]),
    "cookie: no value": (but(cookies=[{"name": "a"}]), ["cookies.0.value"]),
    "cookie: the second": (
        but(cookies=[{"name": "a", "value": "b"}, {"name": "a"}]),
        ["cookies.1.value"],
    ),
    "cookie: unknown field": (cookie(maxAge=5), ["cookies.0.maxAge"]),
    "cookie: empty name": (cookie(name=""), ["cookies.0.name"]),
    "cookie: name that begins with a blank": (cookie(name=" a"), ["cookies.0.name"]),
    "cookie: name with equals": (cookie(name="a=b"), ["cookies.0.name"]),
    "cookie: name with semicolon": (cookie(name="a;b"), ["cookies.0.name"]),
    "cookie: name with newline": (cookie(name="a\n"), ["cookies.0.name"]),
    "cookie: value with semicolon": (cookie(value=f"{CANARY}; x=1"), ["cookies.0.value"]),
    "cookie: value with newline": (cookie(value=f"{CANARY}\r\nSet: x"), ["cookies.0.value"]),
    "cookie: value with NUL": (cookie(value=f"{CANARY}\x00"), ["cookies.0.value"]),
    "cookie: value a number": (cookie(value=5), ["cookies.0.value"]),
    "cookie: value too long": (cookie(value=CANARY + "x" * 4096), ["cookies.0.value"]),
    "cookie: url and domain": (cookie(url="http://a.test/", domain="a.test"), ["cookies.0.domain"]),
    "cookie: bad url": (cookie(url="ftp://a.test/"), ["cookies.0.url"]),
    "cookie: url with password": (cookie(url=f"http://u:{CANARY}@a.test/"), ["cookies.0.url"]),
    "cookie: domain with scheme": (cookie(domain="http://a.test"), ["cookies.0.domain"]),
    "cookie: domain with port": (cookie(domain="a.test:80"), ["cookies.0.domain"]),
    "cookie: empty domain": (cookie(domain=""), ["cookies.0.domain"]),
    "cookie: bad sameSite": (cookie(sameSite="lax"), ["cookies.0.sameSite"]),
    "cookie: relative path": (cookie(domain="a.test", path="app"), ["cookies.0.path"]),
    "cookie: path with semicolon": (cookie(domain="a.test", path="/;x"), ["cookies.0.path"]),
    "cookie: expires text": (cookie(expires="tomorrow"), ["cookies.0.expires"]),
    "cookie: expires too far": (cookie(expires=1e18), ["cookies.0.expires"]),
    "cookie: expires before -1": (cookie(expires=-2), ["cookies.0.expires"]),
    "cookie: httpOnly text": (cookie(httpOnly="true"), ["cookies.0.httpOnly"]),
    "headers: list": (but(headers=["X-A: b"]), ["headers"]),
    "headers: null": (but(headers=None), ["headers"]),
    "headers: 51": (but(headers={f"X-{n}": "v" for n in range(51)}), ["headers"]),
    **{
        f"header: {name}": (header(name, CANARY), [f"headers.{name}"])
        for name in (
            *("Cookie", "cookie", "COOKIE", "host", "Host", "User-Agent", "USER-AGENT"),
            *("Content-Length", "content-LENGTH", "Transfer-Encoding", "Connection"),
            *("Proxy-Authorization", "X A", "X:A", "X\nA", "X\u00c4"),
        )
    },
    "header: empty name": (header(""), ["headers."]),
    "header: newline in the value": (header("X-A", f"{CANARY}\r\nB: c"), ["headers.X-A"]),
    "header: NUL in the value": (header("X-A", f"{CANARY}\x00"), ["headers.X-A"]),
    "header: number": (header("X-A", 5), ["headers.X-A"]),
    "header: null": (header("X-A", None), ["headers.X-A"]),
    "header: list": (header("X-A", ["a"]), ["headers.X-A"]),
    "header: value too long": (header("X-A", CANARY + "x" * 8192), ["headers.X-A"]),
    "screenshot: text": (but(screenshot="yes"), ["screenshot"]),
    "screenshot: null": (but(screenshot=None), ["screenshot"]),
    "block: text": (but(block="image"), ["block"]),
    "block: unknown type": (but(block=["image", "script"]), ["block.1"]),
    "block: object": (but(block={"image": True}), ["block"]),
    "body: array": ([BASE], ["body"]),
    "body: string": ("x", ["body"]),
    "body: number": (5, ["body"]),
    "body: null": (None, ["body"]),
    "body: empty": (b"", ["body"]),
    "body: blank": (b" \n", ["body"]),
    "body: truncated": (json.dumps(but(cookies=[{"value": CANARY}])).encode()[:-3], ["body"]),
    "body: trailing text": (json.dumps(BASE).encode() + b"x", ["body"]),
    "body: single quotes": (b"{'url': 'http://site.test/'}", ["body"]),
    "body: form": (b"url=http://site.test/&timeout=5", ["body"]),
    "body: invalid UTF-8": (b'{"url": "http://site.test/\xff", "timeout": 5}', ["body"]),
    "body: UTF-16": (json.dumps(BASE).encode("utf-16"), ["body"]),
    "body: lone surrogate": (b'{"url": "http://site.test/", "success_text": "\\ud800"}', ["body"]),
    "body: deeply nested": (b'{"cookies":' + b"[" * 100_000, ["body"]),
    "body: deeply nested and closed": (b"[" * 10_000 + b"]" * 10_000, ["body"]),
}


# Refused as a request


@pytest.mark.parametrize("case", REFUSED, ids=str)
async def test_malformed_request_is_refused_by_field_name_and_queues_nothing(
    service: Service, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    caplog.set_level(logging.DEBUG)
    body, fields = REFUSED[case]
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await service.client.post("/solve", data=data, headers=JSON)
    assert response.status == 400, await response.text()
    error = await error_of(response)
    assert error["code"] == "invalid_request"
    assert [field["field"] for field in error["fields"]] == fields
    assert await service.queue.stats() == Stats(queued=0, running=0, slots=1)
    assert service.script.started == []
    # Neither the answer nor the log repeats a value.
    assert CANARY not in await response.text()
    assert CANARY not in caplog.text


async def test_timeout_is_bounded_by_the_setting_whose_name_the_answer_gives(
    make_service: MakeService,
) -> None:
    service = await make_service(max_timeout=2.5)
    response = await service.client.post("/solve", json=but(timeout=3))
    error = await error_of(response)
    assert error["fields"][0]["field"] == "timeout"
    assert "2.5" in error["fields"][0]["message"]
    assert "--max-timeout" in error["fields"][0]["message"]
    await service.solve(timeout=2.5)


ACCEPTED: dict[str, dict[str, Any]] = {
    "success_text alone": BASE,
    "16 texts and selectors": but(success_text=["x" * 4096] * 16, success_selector=["a"] * 16),
    "success_selector alone": but(success_text=None, success_selector="#ok > a[href]"),
    "no_challenge alone": without("success_text") | {"no_challenge": True},
    "all three conditions": but(success_selector="#ok", no_challenge=True),
    "text with white space and zero-width characters": but(success_text=" a\u200bb\n c "),
    "every field": {
        "url": "https://site.test:8443/a?b=c&d=%20#e",
        "success_text": "Willkommen \u2603",
        "success_selector": "#ok",
        "no_challenge": True,
        "timeout": 0.5,
        "proxy": {"server": "http://proxy.test:3128", "username": "u", "password": CANARY},
        "cookies": [
            {"name": "a", "value": "b"},
            {"name": "c", "value": "d", "url": "https://other.test/x"},
            {"name": "e", "value": "f", "domain": ".site.test", "path": "/x", "expires": 2e9},
            {"name": "g", "value": "h", "httpOnly": True, "secure": True, "sameSite": "Strict"},
            {"name": "i", "value": "j", "secure": False, "partitionKey": "https://top.test"},
        ],
        "headers": {"Accept-Language": "de", "X-A": "b\tc", "Authorization": "Basic eA=="},
        "screenshot": True,
        "block": ["image", "media", "font", "stylesheet"],
    },
    "optional fields null": but(proxy=None, success_selector=None, no_challenge=None),
    "empty lists": but(cookies=[], headers={}, block=[]),
    "a result's cookies": but(cookies=SOLUTION["cookies"]),
    "300 cookies": but(cookies=[{"name": f"n{n}", "value": "v"} for n in range(300)]),
    "50 headers": but(headers={f"X-{n}": "v" for n in range(50)}),
    "largest timeout": but(timeout=300),
    "url of 2048 characters": but(url="http://site.test/" + "x" * (2048 - 17)),
    "unicode in path and query": but(url="http://site.test/\u00e4/\u2603?\u00f6=\u00df#\u00e9"),
    "international domain": but(url="http://b\u00fccher.test/"),
    "IPv4 host": but(url="http://127.0.0.1:8000/"),
    "IPv6 host": but(url="http://[::1]:8000/x"),
    "IPv6 proxy": proxy(server="socks5://[::1]:1080"),
    "at-sign in path and query": but(url="http://site.test/@user?mail=a:b@c.test"),
    "upper-case scheme": but(url="HTTP://SITE.TEST/Path"),
    "default port": but(url="https://site.test:443/"),
    **{
        f"{scheme} proxy": proxy(server=f"{scheme}://proxy.test:8080")
        for scheme in ("http", "https", "socks5")
    },
    "socks5 proxy with credentials": proxy(
        server="socks5://proxy.test:1080", username="u" * 255, password=CANARY.ljust(255, "x")
    ),
    "proxy on its scheme's own port": proxy(server="http://proxy.test:80"),
    "proxy with a slash": proxy(server="http://proxy.test:8080/"),
    "proxy user without password": proxy(username="u"),
    "proxy with special characters": proxy(username="u:@/ \u00fc", password=f"{CANARY}:@/ \u2603"),
}


# Accepted


@pytest.mark.parametrize("case", ACCEPTED, ids=str)
async def test_good_request_is_accepted_and_reaches_the_worker_whole(
    service: Service, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    caplog.set_level(logging.DEBUG)
    body = ACCEPTED[case]
    task_id = await service.running(**dict.fromkeys(BASE, None) | body)
    # What the worker makes of the queue's dict is what the client asked for.
    asked = SolveRequest.model_validate_json(json.dumps(body))
    payload = json.loads(json.dumps(service.script.payloads[task_id]))
    assert SolveRequest.model_validate(payload) == asked
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "APPLICATION/JSON", 'application/json;charset="UTF-8"'],
)
async def test_json_may_be_declared_with_parameters_and_in_any_case(
    service: Service, content_type: str
) -> None:
    response = await service.client.post(
        "/solve", data=json.dumps(BASE).encode(), headers={"Content-Type": content_type}
    )
    assert response.status == 202


async def test_of_a_key_given_twice_the_last_counts(service: Service) -> None:
    body = b'{"url": "ftp://a.test/", "url": "http://b.test/", "no_challenge": true, "timeout": 1}'
    response = await service.client.post("/solve", data=body, headers=JSON)
    assert response.status == 202
    await until(lambda: len(service.script.started) == 1)
    assert service.script.payloads[service.script.started[0]]["url"] == "http://b.test/"


async def test_secrets_reach_the_worker_and_no_answer_and_no_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets: dict[str, Any] = {
        "proxy": {"server": "http://proxy.test:3128", "username": "u", "password": CANARY},
        "cookies": [{"name": "session", "value": CANARY}],
        "headers": {"Authorization": f"Bearer {CANARY}"},
    }
    task_id = await service.running(**secrets)
    assert json.dumps(service.script.payloads[task_id]).count(CANARY) == 3
    pending = await service.solve(**secrets)
    texts = [
        await (await service.client.get(path)).text()
        for path in (f"/result/{task_id}", f"/result/{pending}", "/health")
    ]
    texts.append(await (await service.client.delete(f"/task/{pending}")).text())
    assert CANARY not in "".join(texts)
    assert CANARY not in caplog.text


async def test_request_shows_no_secret_in_its_repr() -> None:
    request = SolveRequest.model_validate(ACCEPTED["every field"])
    assert CANARY not in repr(request)


@pytest.mark.parametrize(
    "case", [name for name, (body, _) in REFUSED.items() if CANARY in str(body)], ids=str
)
def test_validation_error_that_a_log_may_hold_shows_no_value(case: str) -> None:
    body, _ = REFUSED[case]
    with pytest.raises(ValidationError) as caught:
        SolveRequest.model_validate_json(body if isinstance(body, bytes) else json.dumps(body))
    assert CANARY not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("path", ["\u00fc" * 1000, "x" * (2048 - 17)])
def test_url_that_encoding_lengthens_passes_the_worker_as_it_passed_the_api(path: str) -> None:
    request = SolveRequest(url="http://site.test/" + path, no_challenge=True, timeout=1)
    again = Task.model_validate(Task.of(request, "").to_payload())
    assert again.url == request.url
