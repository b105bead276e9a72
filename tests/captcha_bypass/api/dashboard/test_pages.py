"""The dashboard's files: open to all, kept by browsers only as long as they are right, and alone."""

from __future__ import annotations

import pytest
from yarl import URL

from tests.support.dashboard_service import A, Dashboard, MakeDashboard

PAGE, FILE = "/dashboard", "/dashboard/static/index.html"


@pytest.mark.parametrize("path", [PAGE, FILE])
async def test_file_is_open_and_asked_for_again_only_if_it_has_changed(
    make_dashboard: MakeDashboard, path: str
) -> None:
    dashboard = await make_dashboard(api_key=(A,))
    response = await dashboard.ask("GET", path)
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"
    again = await dashboard.ask("GET", path, If_None_Match=response.headers["ETag"])
    assert (again.status, await again.read()) == (304, b"")
    assert (await dashboard.ask("HEAD", path)).status == 200


@pytest.mark.parametrize("path", [PAGE, FILE, "/dashboard/api/session", "/dashboard/api/nope"])
async def test_answer_lets_a_browser_do_nothing_but_what_the_page_needs(
    make_dashboard: MakeDashboard, path: str
) -> None:
    dashboard = await make_dashboard(api_key=(A,))
    headers = (await dashboard.ask("GET", path)).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
    )
    assert policy.pop("default-src") == "'none'"
    assert {*policy.values()} == {"'self'", "'none'"}
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_folder_leads_to_the_page(dashboard: Dashboard) -> None:
    response = await dashboard.ask("GET", "/dashboard/")
    assert response.status == 308
    assert response.url.join(URL(response.headers["Location"])).path == PAGE
    assert "Content-Security-Policy" not in (await dashboard.ask("GET", "/health")).headers


@pytest.mark.parametrize(
    "path",
    [
        *[
            "../__init__.py",
            "..%2F__init__.py",
            "%2e%2e/access.py",
            "/etc/passwd",
            "%2Fetc%2Fpasswd",
        ],
        *["", "nope.js", "index.html/", "./index.html", "index.html%00", "vendor/../../access.py"],
    ],
)
async def test_no_other_file_is_served(dashboard: Dashboard, path: str) -> None:
    url = URL(f"{dashboard.origin}/dashboard/static/{path}", encoded=True)
    async with dashboard.client.session.get(url) as response:
        assert response.status == 404


async def test_flaresolverrs_answer_stays_at_the_root(dashboard: Dashboard) -> None:
    answer = await (await dashboard.ask("GET", "/")).json()
    assert answer["msg"] == "FlareSolverr is ready!"
