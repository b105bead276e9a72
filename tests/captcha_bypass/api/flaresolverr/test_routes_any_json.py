"""Whatever JSON a command is made of, it becomes a task or is refused."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from captcha_bypass.api.flaresolverr.commands import Command, Refused
from captcha_bypass.config import Config
from captcha_bypass.wire.task import Task
from tests.support.flaresolverr_service import Json

CONFIG = Config(workers=1)
TEXTS = st.one_of(
    st.text(),
    st.sampled_from(["http://site.test/", "http://proxy.test:1", "60000", "true", "a=b", "Lax"]),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
KEYS = st.one_of(
    st.sampled_from(["url", "username", "password", "name", "value", "expiry", "sameSite"]),
    st.text(),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=8,
)
PARAMETERS = st.dictionaries(st.sampled_from(list(Command.model_fields)), VALUES)
GOOD_URL = st.booleans().map(lambda good: {"url": "http://site.test/"} if good else {})


@given(PARAMETERS, GOOD_URL)
@settings(max_examples=200, deadline=None)
def test_command_becomes_a_task_or_is_refused(parameters: Json, url: Json) -> None:
    try:
        task = Command.parse({**parameters, **url}).to_task(CONFIG)
    except Refused:
        return
    assert 0 < task.timeout <= CONFIG.max_timeout
    # And it passes the queue.
    assert Task.model_validate(json.loads(json.dumps(task.to_payload()))) == task
