from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captcha_bypass.challenges import (
    CLEARANCE_COOKIES,
    VENDORS,
    Challenge,
    Kind,
    body_matters,
    detect,
    detect_headers,
)
from captcha_bypass.challenges.document import Document
from tests.support.repository import CHALLENGES, ROOT
from tests.support.vendor_pages import HEADER_VERDICTS, HTML, JSON, POSITIVES, UUID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Headers = Mapping[str, str | Sequence[str]]

CLOUDFLARE_CODE = "<script>window._cf_chl_opt = {}</script>"


NEGATIVES: list[tuple[str, int, Headers]] = [
    ("normal-cloudflare-jsd.html", 200, {**HTML, "Server": "cloudflare", "CF-RAY": "8f0c-LHR"}),
    ("normal-cloudflare-jsd.html", 403, {**HTML, "Server": "cloudflare", "CF-RAY": "8f0c-LHR"}),
    ("normal-cloudflare-article.html", 200, {**HTML, "Set-Cookie": "cf_clearance=x; Path=/"}),
    ("normal-human.html", 200, {**HTML, "Set-Cookie": ["_px3=x", "_pxhd=x; Path=/"]}),
    ("normal-human.html", 403, HTML),
    ("human.html", 429, HTML),
    ("normal-imperva.html", 200, {**HTML, "X-Iinfo": "1-2-3 NNNN", "X-CDN": "Imperva"}),
    ("normal-imperva.html", 200, {**HTML, "Set-Cookie": ["visid_incap_1=x", "incap_ses_1=x"]}),
    ("normal-datadome.html", 200, {**HTML, "X-DataDome": "protected", "X-DD-B": "1"}),
    ("normal-datadome.html", 403, {**HTML, "X-DataDome": "protected", "Set-Cookie": "datadome=x"}),
    ("datadome-captcha.html", 200, HTML),
    ("normal-login-recaptcha.html", 200, HTML),
    ("normal-login-recaptcha.html", 401, HTML),
    ("normal-login-recaptcha.html", 404, HTML),
    ("normal-turnstile.html", 200, HTML),
    ("normal-kasada.html", 200, HTML),
    ("normal-kasada.html", 429, HTML),
    ("normal-queue-it.html", 200, HTML),
    ("normal-go-away-credit.html", 200, {**HTML, "Set-Cookie": ".go-away-challenge=x"}),
    ("normal-forbidden.html", 403, HTML),
    ("normal-unavailable-akamai.html", 503, {**HTML, "Set-Cookie": ["_abck=x", "bm_sz=x"]}),
    ("normal-forbidden.html", 403, {**HTML, "X-Sucuri-ID": "19002"}),
    ("normal-kasada.html", 200, {**HTML, "Server": "ddos-guard", "Set-Cookie": "__ddg1_=x"}),
    ("normal-datadome.html", 200, {**HTML, "Set-Cookie": "rbzid=x", "x-amzn-requestid": "x"}),
    ("normal.json", 403, JSON),
    ("normal.json", 200, JSON),
]

SINGLE_MARKS: list[tuple[str, int, str, Kind]] = [
    (CLOUDFLARE_CODE, 200, "cloudflare", "automatic"),
    ("<title>Just a moment...</title>", 403, "cloudflare", "automatic"),
    ('<div id="cf-challenge-running">', 503, "cloudflare", "automatic"),
    ('<div id="cf-please-wait">', 503, "cloudflare", "automatic"),
    ('<div id="challenge-spinner">', 403, "cloudflare", "automatic"),
    ('<div id="trk_jschal_js">', 403, "cloudflare", "automatic"),
    ("<title>Attention Required! | Cloudflare</title>", 403, "cloudflare", "block"),
    ('<div id="cf-error-details">', 403, "cloudflare", "block"),
    ('{"sec-cp-challenge":"true"}', 428, "akamai", "automatic"),
    ('<script src="/_sec/cp_challenge/x.js">', 428, "akamai", "automatic"),
    ('<div id="sec-if-cpt-container">', 200, "akamai", "automatic"),
    ("https://errors.edgesuite.net/18.2b3c4d5e", 403, "akamai", "block"),
    ("<title>DDOS-GUARD</title>", 403, "ddos-guard", "automatic"),
    ('<script src="https://check.ddos-guard.net/check.js">', 403, "ddos-guard", "automatic"),
    ('<script src="/.well-known/ddos-guard/x.js">', 403, "ddos-guard", "automatic"),
    ('<div class="g-recaptcha">', 403, "captcha", "human"),
    ('<div class="h-captcha">', 429, "captcha", "human"),
    ('<div class="cf-turnstile">', 503, "captcha", "human"),
    ('<script src="https://www.recaptcha.net/recaptcha/api.js">', 403, "captcha", "human"),
    ('<script src="https://js.hcaptcha.com/1/api.js">', 405, "captcha", "human"),
    ('<script src="https://challenges.cloudflare.com/turnstile/x">', 403, "captcha", "human"),
]

INCAPSULA = "Request unsuccessful. Incapsula incident ID: 443000270038"
#: As forums, articles and their editors have it.
QUOTATIONS = [
    f"<article><p>I get this answer: <i>{INCAPSULA}</i></p></article>",
    f"<pre>{INCAPSULA}</pre>",
    f"<script>const post = '{INCAPSULA}';</script>",
    '<code>&lt;iframe src="/_Incapsula_Resource?x"&gt;</code>',
    '<textarea><iframe src="/_Incapsula_Resource?x"></iframe></textarea>',
    '<!-- <iframe src="/_Incapsula_Resource?x"></iframe> -->',
    "<title>Just a moment...</title>",
    '<script type="application/json">{"post": "window._cf_chl_opt = {}"}</script>',
    '<script>feed.push("the page says window._cf_chl_opt = {}")</script>',
    "<p>See window._cf_chl_opt = {}</p>",
    "<style>/* window._cf_chl_opt = {} */</style>",
    '<pre>&lt;script src="/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1"&gt;</pre>',
    '<pre>&lt;div id="sec-if-cpt-container"&gt;</pre>',
    '<pre>&lt;img src="/.within.website/x/cmd/anubis/static/img/pensive.webp"&gt;</pre>',
    '<pre>&lt;link href="/.well-known/.go-away/assets/static/style.css"&gt;</pre>',
    '<pre>&lt;meta content="0;/.well-known/sgcaptcha/"&gt;</pre>',
    "<p>sucuri_cloudproxy_js='' and var arg1='0123456789ABCDEF0123456789ABCDEF01234567'</p>",
    "<script>log(\"it has var arg1='0123456789ABCDEF0123456789ABCDEF01234567'\")</script>",
    '<a href="https://queue-it.net/">q</a><pre>&lt;body data-pageid="queue"&gt;</pre>',
]


NO_HEADER_VERDICT: list[tuple[int, Headers]] = [
    (200, {}),
    (403, {"cf-mitigated": "something-else", "cf-ray": "8f0c-LHR"}),
    (200, {"x-datadome": "protected", "x-dd-b": "1"}),
    (200, {"server": "ddos-guard"}),
    (200, {"x-kpsdk-ct": "x"}),
    (200, {"x-sucuri-id": "19002", "x-sucuri-cache": "HIT"}),
    (428, {}),
    (200, {"location": "https://shop.queue-it.net/?c=shop"}),
    (302, {"location": "https://shop.example/?next=https://shop.queue-it.net/"}),
    (302, {"location": "https://notgoogle.com/sorry/"}),
    (200, {"refresh": "30; url=/dashboard"}),
    (200, {"set-cookie": "techaro.lol-anubis-cookie-verification=; Max-Age=0"}),
    (200, {"set-cookie": f"techaro.lol-anubis-auth={UUID}"}),
]

names = st.text(max_size=20) | st.sampled_from(
    ["Content-Type", "content-length", "Set-Cookie", "x-dd-b", "Location", "server", "refresh"]
)
values = st.text(max_size=60) | st.sampled_from(["text/html", "application/json", "9" * 5000])
bodies = st.text() | st.binary() | st.sampled_from([p.read_bytes() for p in CHALLENGES.iterdir()])


@pytest.mark.parametrize(("name", "status", "headers", "vendor", "kind"), POSITIVES)
def test_page_of_a_vendor_is_recognised(
    name: str, status: int, headers: Headers, vendor: str, kind: Kind
) -> None:
    body = (CHALLENGES / name).read_bytes()
    assert detect(status, headers, body) == Challenge(vendor, kind)
    assert detect(status, headers, body.decode()) == Challenge(vendor, kind)


@pytest.mark.parametrize(("body", "status", "vendor", "kind"), SINGLE_MARKS)
def test_one_mark_is_enough(body: str, status: int, vendor: str, kind: Kind) -> None:
    assert detect(status, {}, body) == Challenge(vendor, kind)


@pytest.mark.parametrize("quoted", QUOTATIONS)
@pytest.mark.parametrize("status", [200, 404])
def test_page_that_quotes_a_challenge_is_a_page(status: int, quoted: str) -> None:
    body = f"<!DOCTYPE html><html><head><title>Help</title></head><body><p>Why?</p>{quoted}</body>"

    assert detect(status, HTML, body) is None


@pytest.mark.parametrize(
    "page",
    [
        INCAPSULA,
        f"<html><head><title>x</title></head><body>{INCAPSULA}</body></html>",
        f"<html><head><title>x</title></head><body><p><b>{INCAPSULA}</b></p></body></html>",
        f'<body><iframe id="main-iframe">{INCAPSULA}</iframe></body>',
        f"<title>x</title><!-- a --><script>b</script>{INCAPSULA}",
    ],
)
def test_sentence_that_a_page_begins_with_is_its_own(page: str) -> None:
    assert detect(200, HTML, page) == Challenge("imperva", "automatic")


@pytest.mark.parametrize(("name", "status", "headers"), NEGATIVES)
def test_normal_page_is_not_a_challenge(name: str, status: int, headers: Headers) -> None:
    assert detect(status, headers, (CHALLENGES / name).read_bytes()) is None


def test_every_fixture_is_used() -> None:
    used = {row[0] for row in POSITIVES} | {row[0] for row in NEGATIVES}
    assert {path.name for path in CHALLENGES.iterdir()} - {"README.md"} == used


@pytest.mark.parametrize(("status", "headers", "vendor", "kind"), HEADER_VERDICTS)
def test_headers_alone_decide(status: int, headers: Headers, vendor: str, kind: Kind) -> None:
    assert detect_headers(status, headers) == Challenge(vendor, kind)
    assert detect(status, headers) == Challenge(vendor, kind)


@pytest.mark.parametrize(("status", "headers"), NO_HEADER_VERDICT)
def test_vendor_headers_of_normal_answers_decide_nothing(status: int, headers: Headers) -> None:
    assert detect_headers(status, headers) is None


@pytest.mark.parametrize("kind", ["automatic", "human"])
def test_challenge_is_worth_a_browser_whoever_it_asks(kind: Kind) -> None:
    assert Challenge("x", kind).solvable


def test_block_is_not_worth_a_browser() -> None:
    assert not Challenge("x", "block").solvable


def test_header_names_and_words_are_case_insensitive() -> None:
    expected = Challenge("cloudflare", "automatic")
    assert detect(403, {"CF-Mitigated": "Challenge"}) == expected
    assert detect(403, {"CONTENT-TYPE": "TEXT/HTML"}, CLOUDFLARE_CODE.upper()) == expected


@pytest.mark.parametrize(
    "cookies",
    [
        ["session=1; Path=/", f"my-prefix-cookie-verification={UUID}; Path=/"],
        ("session=1; Path=/", f"my-prefix-cookie-verification={UUID}; Path=/"),
        f"session=1; Path=/\nmy-prefix-cookie-verification={UUID}; Path=/",
        [f"session=1; Path=/\nmy-prefix-cookie-verification={UUID}; Path=/"],
    ],
)
def test_set_cookie_may_be_a_list_or_joined_by_newlines(cookies: str | Sequence[str]) -> None:
    assert detect_headers(200, {"Set-Cookie": cookies}) == Challenge("anubis", "automatic")


def test_decision_of_the_headers_needs_no_body() -> None:
    headers = {**HTML, "cf-mitigated": "challenge"}
    assert not body_matters(403, headers)
    body = (CHALLENGES / "cloudflare-block.html").read_bytes()
    assert detect(403, headers, body) == Challenge("cloudflare", "automatic")


def test_body_tells_which_kind_of_datadome_answer_it_is() -> None:
    assert body_matters(403, {**HTML, "x-dd-b": "1"})
    assert not body_matters(403, {"x-dd-b": "1", "Content-Type": "image/png"})


def test_widget_does_not_take_over_what_a_header_said() -> None:
    body = (CHALLENGES / "captcha.html").read_bytes()
    assert detect(403, {**HTML, "x-dd-b": "1"}, body) == Challenge("datadome", "automatic")


@pytest.mark.parametrize(
    ("status", "content_type", "expected"),
    [
        (200, "text/html", True),
        (200, "", True),
        (200, "application/json", False),
        (403, "application/json", True),
        (403, "application/problem+json", True),
        (503, "application/json", False),
        (403, "text/plain", True),
        (200, "text/plain", False),
        (403, "image/png", False),
        (200, "application/octet-stream", False),
        # What browsers make of odd ones: the last that is a type counts, none is looked into.
        (200, "application/xhtml+xml; charset=utf-8", True),
        (200, "Text/HTML, text/html;charset=utf-8", True),
        (200, "image/png, text/html", True),
        (200, "text/html, image/png", False),
        (200, "image/png, */*", False),
        (200, "*/*", True),
        (200, "html", True),
        (200, "text/html;", True),
        (200, "unknown/unknown", True),
    ],
)
def test_only_types_that_carry_challenges_are_read(
    status: int, content_type: str, *, expected: bool
) -> None:
    headers = {"Content-Type": content_type}
    assert body_matters(status, headers) is expected
    assert (detect(status, headers, CLOUDFLARE_CODE) is not None) is expected


def test_content_type_that_came_twice_is_the_last_one() -> None:
    assert body_matters(200, {"Content-Type": ["image/png", "text/html"]})
    assert not body_matters(200, {"Content-Type": ["text/html", "image/png"]})


@pytest.mark.parametrize("headers", [{}, {"Content-Type": []}, {"Content-Type": " "}])
def test_missing_content_type_is_read_as_html(headers: Headers) -> None:
    assert detect(200, headers, CLOUDFLARE_CODE) == Challenge("cloudflare", "automatic")


def test_declared_length_spares_reading_a_long_page_that_loaded_well() -> None:
    assert body_matters(200, {**HTML, "Content-Length": "65536"})
    assert not body_matters(200, {**HTML, "Content-Length": "65537"})
    assert body_matters(403, {**HTML, "Content-Length": "65537"})
    assert body_matters(200, {**HTML, "Content-Length": "unknown"})


def test_page_over_64_kb_that_loaded_well_is_not_scanned() -> None:
    longest = CLOUDFLARE_CODE.ljust(64 * 1024)
    assert detect(200, HTML, longest) == Challenge("cloudflare", "automatic")
    assert detect(200, HTML, longest + " ") is None
    assert detect(200, HTML, (longest + " ").encode()) is None
    assert detect(403, HTML, longest + " ") == Challenge("cloudflare", "automatic")


def test_marks_beyond_the_first_16_kb_are_not_seen() -> None:
    inside = CLOUDFLARE_CODE.rjust(16 * 1024)
    assert detect(403, HTML, inside) == Challenge("cloudflare", "automatic")
    assert detect(403, HTML, " " * 16 * 1024 + CLOUDFLARE_CODE) is None
    assert detect(403, HTML, b" " * 16 * 1024 + CLOUDFLARE_CODE.encode()) is None


@pytest.mark.parametrize("length", [100, 10_000, 1_000_000])
def test_widget_on_a_page_that_loaded_well_is_part_of_it_at_any_length(length: int) -> None:
    body = (CHALLENGES / "normal-turnstile.html").read_text().ljust(length)
    assert detect(200, HTML, body) is None


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp1251", "shift_jis", "gb18030"])
def test_bytes_in_other_encodings_are_taken(encoding: str) -> None:
    body = f"<title>Проверка</title>{CLOUDFLARE_CODE}".encode(encoding)
    assert detect(403, HTML, body) in {None, Challenge("cloudflare", "automatic")}


def test_broken_bytes_around_a_mark_do_not_hide_it() -> None:
    body = b"\xff\xfe\x80\x00" + CLOUDFLARE_CODE.encode() + b"\xc3\x28\xed\xa0\x80"
    assert detect(403, HTML, body) == Challenge("cloudflare", "automatic")


@given(
    status=st.integers(),
    headers=st.dictionaries(names, values | st.lists(values, max_size=3), max_size=6),
    body=bodies,
)
def test_any_response_gets_an_answer(
    status: int, headers: dict[str, str | Sequence[str]], body: str | bytes
) -> None:
    found = detect(status, headers, body)
    by_headers = detect_headers(status, headers)
    if by_headers is not None:
        assert found is not None
        assert found.vendor == by_headers.vendor
    if not body_matters(status, headers):
        assert found == by_headers


@given(st.text(st.sampled_from("<>/!-'\"= \nsrciptledx")))
def test_any_markup_is_taken_apart(text: str) -> None:
    document = Document(text)

    assert all(tag.text in text and tag.text.startswith(tag.name) for tag in document.tags)
    assert all(source in text for _, source in document.scripts)
    assert len(document.markup) <= len(text)
    for tag in document.tags:
        assert tag.attribute("src") in text


def test_module_needs_nothing_else_of_the_project() -> None:
    code = (
        "import sys, captcha_bypass.challenges\n"
        "print(*sorted(m for m in sys.modules if m.startswith('captcha_bypass')))"
    )
    run = subprocess.run(
        # Not even the packages that are installed.
        [sys.executable, "-S", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == [
        "captcha_bypass",
        "captcha_bypass.challenges",
        "captcha_bypass.challenges.document",
        "captcha_bypass.challenges.headers",
        "captcha_bypass.challenges.marks",
        "captcha_bypass.challenges.signatures",
    ]


def test_clearance_cookies_are_those_of_vendors_that_are_detected() -> None:
    assert set(CLEARANCE_COOKIES) <= VENDORS
