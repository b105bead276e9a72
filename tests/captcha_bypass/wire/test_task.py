"""What the queue keeps of a request: whose it is, its host, its groups."""

from __future__ import annotations

import pytest

from captcha_bypass.wire.models import SolveRequest
from captcha_bypass.wire.task import SessionKey, Task

ASKED = SolveRequest(
    url="http://Site.test./page",
    no_challenge=True,
    timeout=5,
    session="mine",
    proxy={"server": "http://proxy.test:3128", "username": "u", "password": "p"},  # type: ignore[arg-type]
)


def test_task_is_its_request_with_an_owner_also_past_the_queue() -> None:
    task = Task.of(ASKED, "one")
    assert task.session_key == SessionKey("one", "mine")
    assert task.model_dump(include=set(SolveRequest.model_fields)) == ASKED.model_dump()
    assert Task.model_validate(task.to_payload()) == task


def test_task_of_another_api_stays_what_it_is() -> None:
    task = Task(url="http://site.test/", no_challenge=True, timeout=5, form="a=b", settle=1.0)
    assert Task.of(task, "one") == task.model_copy(update={"owner": "one"})


def test_task_without_a_session_runs_in_none() -> None:
    assert Task(url="http://site.test/", no_challenge=True, timeout=5).session_key is None


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Site.test/", "site.test"),
        ("https://site.test:8443/a?b#c", "site.test"),
        ("http://b\u00fccher.test/", "xn--bcher-kva.test"),
        ("http://127.0.0.1:8080/", "127.0.0.1"),
        ("http://[2001:DB8::1]:8080/", "[2001:db8::1]"),
    ],
)
def test_host_is_what_the_url_names(url: str, host: str) -> None:
    assert Task(url=url, no_challenge=True, timeout=5).host == host


@pytest.mark.parametrize("url", ["http://site.test/", "https://SITE.test.:8443/other"])
def test_groups_are_the_machine_whatever_the_port_and_the_session_of_its_owner(url: str) -> None:
    task = Task(url=url, no_challenge=True, timeout=5, session="mine", owner="one")
    assert task.groups(4) == {"host:site.test": 4, "session:one:mine": 1}


def test_task_of_a_service_without_a_bound_for_hosts_is_in_its_session_alone() -> None:
    task = Task(url="http://site.test/", no_challenge=True, timeout=5)
    assert task.groups(0) == {}
    assert task.model_copy(update={"session": "mine"}).groups(0) == {"session::mine": 1}
