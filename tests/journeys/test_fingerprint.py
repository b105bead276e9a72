"""A clearance that fits its browser alone: others are refused with its cookies, and /fetch gets through."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from demo.challenge_pages import SUCCESS_TEXT
from demo.fingerprint_site import STATS, SiteOptions, serving
from tests.captcha_bypass_scrapy.crawling import Crawler
from tests.support.certificate import Certificate, make_certificate, trusting_firefox
from tests.support.service import Service, run_service
from tests.support.solve_client import Client, Json, client_of

pytestmark = pytest.mark.browser

OPTIONS = SiteOptions(work=0.05)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[Service]:
    tmp = tmp_path_factory.mktemp("fingerprint")
    (tmp / "firefox").mkdir()
    program = trusting_firefox(tmp / "firefox", certificate.authority)
    with run_service(tmp / "service", "--browser-path", str(program)) as running:
        yield running


@dataclass
class Visitor:
    """What a client sends that is not the browser, but has all that the service hands over."""

    certificate: Certificate
    headers: dict[str, str]

    async def by_aiohttp(self, url: str) -> int:
        connector = aiohttp.TCPConnector(ssl=self.certificate.client())
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(url, headers=self.headers) as answer,
        ):
            return answer.status

    async def by_curl(self, url: str) -> int:
        command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--noproxy", "*", url]
        command += ["--cacert", str(self.certificate.authority)]
        for name, value in self.headers.items():
            command += ["-H", f"{name}: {value}"]
        found = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
        return int(found.stdout)

    async def by_scrapy(self, url: str, tmp: Path) -> int:
        crawled = await Crawler(tmp, None)(
            [{"url": url, "headers": self.headers}], COOKIES_ENABLED=False, HTTPERROR_ALLOW_ALL=True
        )
        (item,) = crawled.items
        return int(item["status"])


@asynccontextmanager
async def site_of(scheme: str, certificate: Certificate) -> AsyncIterator[tuple[str, Json]]:
    tls: ssl.SSLContext | None = certificate.server() if scheme == "https" else None
    async with serving(OPTIONS, tls=tls) as (url, app):
        yield url, vars(app[STATS])


async def fetch(client: Client, **request: object) -> Json:
    asked = {"timeout": 30, **request}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{client.url}/fetch", json=asked) as response,
    ):
        body: Json = await response.json()
        assert response.status == 200, body
        return body


def content(answer: Json) -> str:
    return base64.b64decode(answer["body"]).decode()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_clearance_fits_no_other_client_and_fetch_is_let_through(
    service: Service, certificate: Certificate, tmp_path: Path, scheme: str
) -> None:
    async with site_of(scheme, certificate) as (url, stats), client_of(service) as client:
        solved = await client.solved(
            url=f"{url}/page/1", success_text=SUCCESS_TEXT, timeout=30, session=scheme
        )
        cookies = "; ".join(f"{c['name']}={c['value']}" for c in solved["cookies"])
        headers = {"User-Agent": solved["user_agent"], "Cookie": cookies}
        visitor = Visitor(certificate, headers)
        assert await visitor.by_aiohttp(f"{url}/page/2") == 403
        assert await visitor.by_curl(f"{url}/page/3") == 403
        assert await visitor.by_scrapy(f"{url}/page/4", tmp_path) == 403
        # Known to the site, and another's: it was not the cookie that was wrong.
        assert stats["rejected"] == {"/page/2": 1, "/page/3": 1, "/page/4": 1}
        got = await fetch(client, url=f"{url}/page/5", session=scheme)
        assert (got["status"], got["solved"]) == (200, None)
        assert SUCCESS_TEXT in content(got)
        assert stats["pages"] == {"/page/1": 1, "/page/5": 1}
        # All headers of the browser are enough where nobody sees how it speaks TLS, and only there.
        seen = await fetch(client, url=f"{url}/headers", session=scheme)
        visitor.headers = json.loads(content(seen))
        assert visitor.headers["User-Agent"] == solved["user_agent"]
        assert await visitor.by_curl(f"{url}/page/6") == {"http": 200, "https": 403}[scheme]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_fetch_solves_by_itself_and_its_clearance_fits_all_its_requests(
    service: Service, certificate: Certificate, scheme: str
) -> None:
    async with site_of(scheme, certificate) as (url, stats), client_of(service) as client:
        got = await fetch(client, url=f"{url}/json/1", headers={"Accept": "application/json"})
        assert (got["status"], got["solved"]) == (200, "cloudflare")
        assert json.loads(content(got)) == {"page": 1, "message": SUCCESS_TEXT}
        several = (fetch(client, url=f"{url}/page/{n}") for n in range(20))
        assert {answer["status"] for answer in await asyncio.gather(*several)} == {200}
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        got = await fetch(
            client, url=f"{url}/post/1", method="POST", body="field=mine", headers=form
        )
        assert '[["field", "mine"]]' in content(got)
        assert (sum(stats["passes"].values()), dict(stats["rejected"])) == (1, {})
