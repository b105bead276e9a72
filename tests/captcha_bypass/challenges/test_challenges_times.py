"""Sites choose what the signatures read, so reading it must take time in proportion to its length."""

from __future__ import annotations

import time
from functools import partial

import pytest

from captcha_bypass.challenges import detect
from captcha_bypass.challenges.document import Document
from captcha_bypass.challenges.marks import BodyRule
from captcha_bypass.challenges.signatures import BODY_RULES, HEADER_RULES
from tests.support.growth import grows_too_fast
from tests.support.repository import ROOT

#: What values are made of that a search might start over at, again and again.
VALUE_PIECES = (
    "/.well-known/.",
    "0; url=/.well-known/.",
    "go-away/",
    "0",
    ";",
    "a-cookie-verification",
    "-cookie-verification-0",
    "0123abcd-",
    "https://",
    ".google.",
    "google.com/sorry/",
    ".queue-it.net",
    "ddos-guard",
    " ",
    "a",
)
#: Beginnings after which those are read at all.
VALUE_STARTS = ("", "0; url=", "a-cookie-verification=", "https://", "google.com/sorry/")
#: What stands around a mark in a document made to be slow to search; `{}` is the mark.
SURROUNDINGS = (
    "{}",
    "<{}",
    '<a src="{}',
    "<iframe src={} ",
    "<meta name {}",
    "<script>{} =",
    "<script id={}>",
    "{}      =      ",
    "<!--{}",
    "<textarea>{}",
    "<body data-pageid='{}'>",
    '"{}" : ',
    "</script>{}</",
)


def test_time_for_a_header_grows_with_its_length() -> None:
    too_fast = [
        (rule.name, start, unit)
        for rule in HEADER_RULES
        for start in VALUE_STARTS
        for unit in VALUE_PIECES
        if grows_too_fast(rule.is_mark, unit, 2048, start)
    ]

    assert too_fast == []


def test_time_for_a_document_grows_with_its_length() -> None:
    too_fast = []
    for rule in BODY_RULES:
        search = partial(_search, rule)
        units = [around.format(mark) for mark in rule.marks for around in SURROUNDINGS]
        too_fast += [(unit, rule) for unit in units if grows_too_fast(search, unit, 4096)]

    assert too_fast == []


def _search(rule: BodyRule, text: str) -> None:
    status = 403 if rule.statuses is None else min(rule.statuses)
    rule.matches(status, Document(" ".join(rule.marks) + text))


@pytest.mark.parametrize("name", sorted({rule.name for rule in HEADER_RULES}))
def test_headers_of_any_length_cost_the_same(name: str) -> None:
    def work(text: str) -> None:
        detect(403, {name: [text] * 50})

    def seconds(length: int) -> float:
        text = "0; url=/.well-known/.\n" * (length // 22)
        started = time.process_time()
        work(text)
        return time.process_time() - started

    bounded = 1_000_000  # the cut is below that
    assert min(seconds(4 * bounded) for _ in range(3)) < 3 * max(seconds(bounded) for _ in range(3))


def test_document_of_any_length_costs_the_same() -> None:
    def seconds(length: int) -> float:
        body = b'<a src="/_incapsula_resource' * (length // 28)
        started = time.process_time()
        detect(403, {}, body)
        return time.process_time() - started

    assert min(seconds(8_000_000) for _ in range(3)) < 3 * max(seconds(100_000) for _ in range(3))


@pytest.mark.parametrize("folder", ["captcha_bypass/challenges", "captcha_bypass_scrapy"])
def test_no_regular_expression_runs_on_what_a_site_sends(folder: str) -> None:
    imports = ("import re", "from re import")
    found = [
        path.name
        for path in (ROOT / folder).glob("*.py")
        if any(line.strip().startswith(imports) for line in path.read_text().splitlines())
    ]

    assert found == []
