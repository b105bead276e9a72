"""The documents of one task."""

from __future__ import annotations

from captcha_bypass.challenges import Challenge
from captcha_bypass.history.timeline import MOST_DOCUMENTS, URL_CHARS, Timeline, cut

WALL = Challenge("cloudflare", "automatic")


def test_a_document_has_what_it_was_seen_to_be_and_each_change_is_told() -> None:
    told: list[int] = []
    timeline = Timeline(lambda: told.append(len(timeline.documents)))
    timeline.add(403, "https://site.test/")
    timeline.judge(WALL)
    timeline.judge(WALL)
    timeline.add(200, "https://site.test/in")
    timeline.judge(None)
    first, second = timeline.documents
    assert (first["status"], first["url"]) == (403, "https://site.test/")
    assert (first["vendor"], first["kind"]) == ("cloudflare", "automatic")
    assert (second["vendor"], second["kind"]) == (None, None)
    assert 0 <= first["at"] <= second["at"]
    assert timeline.challenge is None
    assert told == [1, 1, 2]


def test_the_first_document_can_be_judged_when_it_is_gone() -> None:
    timeline = Timeline()
    timeline.judge_first(WALL)
    timeline.add(403, "https://site.test/")
    timeline.add(200, "https://site.test/in")
    timeline.judge_first(WALL)
    timeline.judge_first(None)
    assert [document["kind"] for document in timeline.documents] == ["automatic", None]
    assert timeline.challenge is None  # which is that of the last one


def test_of_a_page_that_reloads_for_ever_the_first_documents_are_kept() -> None:
    told: list[None] = []
    timeline = Timeline(lambda: told.append(None))
    for number in range(MOST_DOCUMENTS + 100):
        timeline.add(200, f"https://site.test/{number}")
    assert len(timeline.documents) == len(told) == MOST_DOCUMENTS
    timeline.judge(WALL)  # the one that is shown now, which is not kept
    assert timeline.challenge == WALL
    assert timeline.documents[-1]["vendor"] is None


def test_the_last_document_that_is_kept_can_be_judged() -> None:
    timeline = Timeline()
    for _ in range(MOST_DOCUMENTS):
        timeline.add(403, "https://site.test/")
    timeline.judge(WALL)
    assert timeline.documents[-1]["vendor"] == "cloudflare"


def test_a_long_url_is_cut() -> None:
    timeline = Timeline()
    timeline.add(200, "https://site.test/" + "x" * 1_000_000)
    assert len(timeline.documents[0]["url"]) == URL_CHARS
    assert cut("short") == "short"
    assert cut("x" * 11, 10) == "x" * 9 + "…"
