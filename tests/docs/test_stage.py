"""The stage notices what is wrong with a page: no service is needed for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import blocks_of
from tests.docs.shapes import differences, documents, is_failure
from tests.docs.stage import BlockFailed, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage("http://127.0.0.1:9", "http://127.0.0.1:9/page/1", tmp_path)


def play(stage: Stage, source: str) -> None:
    stage.play(blocks_of("page.md", source))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("```sh\nfalse\n```", "page.md:1: exit code 1"),
        ("```sh\nfalse | true\n```", "exit code 1"),
        ("text\n\n```python\nraise SystemExit(3)\n```", "page.md:3: exit code 3"),
        ('```sh\necho \'{"error": {"code": "x"}}\'\n```', "the service refuses it"),
        (
            '```sh\necho \'{"a": 1}\'\n```\n```json\n{"b": 1}\n```',
            r"\$\.a: only real; \$\.b: only shown",
        ),
        ('```json\n{"b": 1}\n```', "no block before it"),
        ("```python\n# spider.py\nprint(1)\n```", "nothing runs spider.py"),
    ],
)
def test_a_page_that_does_not_hold_is_found(stage: Stage, source: str, complaint: str) -> None:
    with pytest.raises(BlockFailed, match=complaint):
        play(stage, source)


def test_a_page_that_holds_is_none(stage: Stage) -> None:
    play(
        stage,
        '```python\n# a.py\nprint(\'{"a": 1}\')\n```\n```sh\npython a.py\n```\n```json\n{"a": 7}\n```',
    )
    play(stage, "<!-- not run: it fails, of course -->\n```sh\nfalse\n```")
    play(
        stage,
        '```sh\necho \'{"error": {"code": "x"}}\'\n```\n```json\n{"error": {"code": "y"}}\n```',
    )


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("curl localhost:8191/live", "curl 127.0.0.1:9/live"),
        ("http :8191/live", "http 127.0.0.1:9/live"),
        ('"http://127.0.0.1:8191"', '"http://127.0.0.1:9"'),
        ('"https://example.com"', '"http://127.0.0.1:9/page/1"'),
    ],
)
def test_what_a_reader_has_is_replaced_by_what_is_here(
    stage: Stage, text: str, filled: str
) -> None:
    assert stage.fill(text) == filled


@pytest.mark.parametrize(
    ("shown", "real", "count"),
    [
        ({"a": 1}, {"a": 2.5}, 0),
        ({"a": 1}, {"a": True}, 1),
        ({"a": None}, {"a": "x"}, 0),
        ({"a": 1}, {"a": 1, "b": 1}, 1),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}, {"c": 1}]}, 2),
        ({"a": []}, {"a": [1]}, 0),
        ({"headers": {"x": "1"}}, {"headers": {"y": "2", "z": "3"}}, 0),
        ({"headers": {"x": "1"}}, {"headers": {"y": 2}}, 1),
    ],
)
def test_answers_are_compared_by_shape(shown: object, real: object, count: int) -> None:
    assert len(list(differences(shown, real))) == count


def test_answers_are_read_one_after_the_other() -> None:
    assert documents('{"a": 1}\n{"b": 2}tail') == [{"a": 1}, {"b": 2}]
    assert documents("# HELP x\n") == []
    assert is_failure({"status": "not_found", "error": None, "data": None})
    assert not is_failure({"status": "completed", "error": None})
