"""What a value weighs in memory, about."""

from __future__ import annotations

import pytest

from captcha_bypass.tasks.base import weigh


@pytest.mark.parametrize("value", [None, True, 5, 1.5, "", [], {}, [None], {"a": None}])
def test_every_json_value_weighs_something(value: object) -> None:
    assert weigh(value) > 0


def test_weight_counts_text_at_any_depth_in_keys_and_values() -> None:
    text = "x" * 1_000_000
    nestings: list[object] = [text, [text], {"a": text}, {text: 1}, [{"a": [{"b": text}]}]]
    for value in nestings:
        assert 1_000_000 <= weigh(value) < 1_001_000
    assert weigh([text, text]) >= 2_000_000


def test_weight_is_what_text_takes_in_memory_not_its_length() -> None:
    assert weigh("\N{SNOWMAN}" * 1000) >= 2000
