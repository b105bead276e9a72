"""What only users of requests do with the adapter."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter

from captcha_bypass.client import ServiceError
from captcha_bypass.client.requests import ClearanceAdapter, _is_repeatable, _read_timeout


def test_it_takes_what_the_librarys_own_adapter_takes() -> None:
    adapter = ClearanceAdapter("http://127.0.0.1:8191", adapter={"max_retries": 3})
    assert isinstance(adapter, HTTPAdapter)
    assert adapter.max_retries.total == 3


def test_an_address_that_cannot_be_right_is_told_at_once() -> None:
    with pytest.raises(ServiceError):
        ClearanceAdapter("127.0.0.1:8191")


def test_a_session_can_be_pickled() -> None:
    session = requests.Session()
    session.mount("https://", ClearanceAdapter("http://127.0.0.1:8191", solve_timeout=7))
    again = pickle.loads(pickle.dumps(session)).get_adapter("https://site.test")  # noqa: S301 - our own
    assert isinstance(again, ClearanceAdapter)
    assert again._given[:3] == ("http://127.0.0.1:8191", None, 7)
    assert again._passing._clearing.timeout == 7


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(None, None), (5, 5.0), ((1, 7), 7.0), ((1, None), None), (2.5, 2.5)],
)
def test_the_timeout_for_bytes_is_that_of_reading(given: object, seconds: float | None) -> None:
    assert _read_timeout(given) == seconds


def test_bodies_that_can_be_sent_again_are_told_from_others(tmp_path: Path) -> None:
    def prepared(data: object) -> requests.PreparedRequest:
        return requests.Request("POST", "http://site.test/", data=data).prepare()  # type: ignore[arg-type]

    (tmp_path / "file").write_bytes(b"x")
    with (tmp_path / "file").open("rb") as file:
        repeatable = [None, b"x", "x", {"a": "b"}, file, io.BytesIO(b"x")]
        assert all(_is_repeatable(prepared(data)) for data in repeatable)
    assert not _is_repeatable(prepared(piece for piece in [b"x"]))


@pytest.mark.parametrize("name", ["requests", "httpx", "httpx2"])
def test_where_the_library_is_missing_the_error_names_it(name: str) -> None:
    program = f"import sys; sys.modules[{name!r}] = None; import captcha_bypass.client.{name}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert f"needs {name}: pip install {name}" in done.stderr.splitlines()[-1]
