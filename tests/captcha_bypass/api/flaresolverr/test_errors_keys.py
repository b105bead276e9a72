"""A service with API keys takes commands from those who have one, also in the URL."""

from __future__ import annotations

import logging

import pytest

from tests.captcha_bypass.api.flaresolverr.scripted import Make, Scripted
from tests.support.flaresolverr_service import failure_of

KEY = "CANARY-key-1/+&v1"
IN_URL = "CANARY-key-1/%2B%26v1"
LIST = {"cmd": "sessions.list"}


@pytest.fixture
async def keyed(make: Make) -> Scripted:
    return await make(api_key=(KEY, "CANARY-key-2"))


@pytest.mark.parametrize(
    "path",
    [
        f"/v1?key={IN_URL}",
        "/v1?key=CANARY-key-2",
        f"/v1?a=b&key=wrong&key={IN_URL}",
        # What Prowlarr, Jackett and Suwayomi make of http://host/?key=KEY
        f"/?key={IN_URL}/v1",
        f"/?key={IN_URL}",
    ],
)
async def test_key_in_the_url_opens(keyed: Scripted, path: str) -> None:
    response = await keyed.v1.client.post(path, json=LIST)
    assert response.status == 200, await response.text()
    assert (await response.json())["sessions"] == []


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
async def test_key_in_a_header_opens(keyed: Scripted, name: str) -> None:
    value = f"Bearer {KEY}" if name == "Authorization" else KEY
    response = await keyed.v1.client.post("/v1", json=LIST, headers={name: value})
    assert response.status == 200


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/v1",
            "/",
            "/v1?key=",
            "/v1?key=wrong",
            "/v1?Key=CANARY-key-2",
            "/v1?api_key=CANARY-key-2",
        ),
        *("/v1?key=CANARY-key-2/v1/v1", "/v1?key=CANARY-key", "/?key=/v1", "/v1?key=%ED%A0%80"),
    ],
)
async def test_without_a_key_it_is_500_that_says_what_to_send(
    keyed: Scripted, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level(logging.DEBUG, "captcha_bypass")
    response = await keyed.v1.client.post(path, json={"cmd": "sessions.create"})
    message = await failure_of(response)
    assert message.startswith("Error: An API key is needed")
    assert "/v1?key=KEY" in message
    assert "CANARY" not in message
    assert keyed.v1.sessions.names() == []


async def test_index_wants_a_key_too(keyed: Scripted) -> None:
    assert (await keyed.v1.client.get("/")).status == 401
    assert (await keyed.v1.client.get("/?key=CANARY-key-2")).status == 200


@pytest.mark.parametrize("path", ["/solve", "/result/x", "/v1/", "/nope", "/v1/x"])
async def test_key_in_the_url_opens_nothing_else(keyed: Scripted, path: str) -> None:
    assert (await keyed.v1.client.get(f"{path}?key=CANARY-key-2")).status == 401


async def test_key_in_the_url_does_not_reach_the_log(
    keyed: Scripted, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(owner: str) -> list[str]:
        raise RuntimeError("inner workings")

    monkeypatch.setattr(keyed.v1.sessions, "names", broken)
    caplog.set_level(logging.DEBUG, "captcha_bypass")
    response = await keyed.v1.client.post(f"/v1?key={IN_URL}", json=LIST)
    assert "Unexpected error" in await failure_of(response)
    ours = [r.getMessage() + str(r.exc_text) for r in caplog.records if "aiohttp" not in r.name]
    assert "inner workings" in caplog.text
    assert not [line for line in ours if "CANARY" in line]


async def test_request_for_another_machine_s_name_is_500_without_a_key(make: Make) -> None:
    scripted = await make()
    headers = {"Host": "evil.test"}
    response = await scripted.v1.client.post(
        "/v1", json={"cmd": "sessions.create"}, headers=headers
    )
    assert "127.0.0.1" in await failure_of(response)
    assert scripted.v1.sessions.names() == []
