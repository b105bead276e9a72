"""Over TLS a clearance fits its browser alone: the service solves, and its cookies help nobody else."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from demo.challenge_pages import SUCCESS_TEXT
from demo.fingerprint_site import SiteOptions, serving
from tests.support.certificate import make_certificate, trusting_firefox
from tests.support.service import client_of, run_service

pytestmark = pytest.mark.browser


async def test_cookies_of_a_solve_are_refused_from_another_client(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    (tmp_path / "firefox").mkdir()
    program = trusting_firefox(tmp_path / "firefox", certificate.authority)
    options = SiteOptions(work=0.05)
    with run_service(tmp_path / "service", "--browser-path", str(program)) as service:
        async with (
            serving(options, tls=certificate.server()) as (url, _),
            client_of(service) as client,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=certificate.client())) as own,
        ):
            data = await client.solved(
                url=f"{url}/page/1", success_text=SUCCESS_TEXT, timeout=30, session="mine"
            )
            assert data["status_code"] == 200
            cookies = "; ".join(f"{c['name']}={c['value']}" for c in data["cookies"])
            headers = {"User-Agent": data["user_agent"], "Cookie": cookies}
            async with own.get(f"{url}/page/2", headers=headers) as answer:
                assert (answer.status, answer.headers["cf-mitigated"]) == (403, "challenge")
            # The session's browser needs no second challenge.
            again = await client.solved(
                url=f"{url}/page/2", success_text=SUCCESS_TEXT, timeout=30, session="mine"
            )
            assert (again["status_code"], again["solved"]) == (200, None)
