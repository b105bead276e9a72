"""Documents that are not HTML, as the browser shows them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy import Request
from scrapy.http import HtmlResponse

from captcha_bypass_scrapy.documents import encoding_of, is_html, source_of
from captcha_bypass_scrapy.errors import NotHandedOver, SolveError
from captcha_bypass_scrapy.responses import response_from
from tests.captcha_bypass_scrapy.fake_service import page_of
from tests.support.growth import grows_too_fast

if TYPE_CHECKING:
    from captcha_bypass_scrapy.answers import Solution

FEED = (
    '<rss version="2.0"><channel><title>Code</title><item><description>'
    "&lt;p>Run:&lt;/p>&lt;pre>rm -rf build&lt;/pre></description></item></channel></rss>"
)
#: How Firefox wraps a text.
SHOWN = (
    '<html><head><link rel="stylesheet" href="resource://content-accessible/plaintext.css">'
    "</head><body><pre>{}</pre></body></html>"
)


@pytest.mark.parametrize(
    ("kind", "html", "source"),
    [
        ("application/json", SHOWN.format('{"a": "&lt;1&gt;"}'), '{"a": "<1>"}'),
        ("text/plain", SHOWN.format("&amp;lt; </pre> &amp;"), "&lt; </pre> &"),
        ("text/plain", SHOWN.format(""), ""),
        ("text/csv", "<html><body><pre>a,b\n</pre></body></html>", "a,b\n"),
        ("text/xml", FEED, FEED),
        ("application/rss+xml", f"<!-- <html> --><!DOCTYPE rss>{FEED}", None),
        ("application/xml", "<urlset><pre>x</pre></urlset>", None),
        ("application/xml", '<?xml version="1.0"?><!-- a > b --><?style x?><urlset/>', None),
        ("application/xml", "<htm/>", None),
        ("application/xml", "<!-- a > <html> --><urlset/>", None),
        ("text/xml", "", None),
        ("text/xml", "<!-- never closed", None),
        ("text/plain", SHOWN.format("a&nbsp;b"), "a\xa0b"),
        ("text/plain", SHOWN.format("&amp;nbsp;&amp;amp;"), "&nbsp;&amp;"),
        ("text/plain", SHOWN.format("\n\nblank lines\n\n"), "\n\nblank lines\n\n"),
        ("text/plain", '<html><body class="a"><pre class="b">c</pre></body></html>\n', "c"),
        ("application/ld+json", SHOWN.format("{}"), "{}"),
    ],
)
def test_document_is_handed_over_as_it_is(kind: str, html: str, source: str | None) -> None:
    assert source_of(kind, html) == (html if source is None else source)


@pytest.mark.parametrize(
    ("kind", "html"),
    [
        ("image/png", '<html><body><img src="/a.png"></body></html>'),
        ("application/pdf", "<html><body><div>viewer</div><pre>x</pre></body></html>"),
        ("text/plain", "<html><body><h1>not a text</h1><pre>x</pre></body></html>"),
        ("text/plain", ""),
        ("application/json", "<pre>no page of the browser</pre>"),
        # By an XSLT style sheet, as many sitemaps have one.
        ("text/xml", "<!DOCTYPE html><html><body><table></table></body></html>"),
        ("text/xml", "<!-- <rss> --><HTML><body/></HTML>"),
        ("application/atom+xml", "<?a?><html/>"),
        ("text/plain", "<html><body><pre>cut off"),
        ("text/xml", '<parsererror xmlns="http://www.mozilla.org/newlayout/xml/parsererror.xml">'),
    ],
)
def test_what_is_shown_in_another_way_is_not_taken_for_the_document(kind: str, html: str) -> None:
    with pytest.raises(SolveError, match=kind.replace("+", r"\+")):
        source_of(kind, html)


@pytest.mark.parametrize(
    ("declared", "html", "encoding"),
    [
        ("text/html; charset=windows-1251", "<p>", "cp1251"),
        ("text/html; charset=UTF-8", '<meta charset="windows-1251">', "utf-8"),
        ("text/html", '<meta charset="windows-1251">', "cp1251"),
        ("text/html", "<p>", "utf-8"),
        ("text/html; charset=shift_jis", "<p>", "cp932"),
        ("text/html; charset=gb2312", "<p>", "gb18030"),
        ("text/html; charset=iso-8859-1", "<p>", "cp1252"),
        ("text/html; charset=utf-16", "<p>", "utf-8"),
        ("text/html; charset=idna", "<p>", "utf-8"),
        ("text/html; charset=nonsense", "<p>", "utf-8"),
        ("text/plain\ntext/html; charset=windows-1251", "<p>", "cp1251"),
        ("text/html, text/html", "<p>", "utf-8"),
    ],
)
def test_page_keeps_the_encoding_that_its_links_are_written_in(
    declared: str, html: str, encoding: str
) -> None:
    page = f"{html}<a href='/?q=\u043f\u20ac'>\U0001f600</a>"
    found = page_of({"url": "http://a/"}, html=page, headers={"content-type": declared})

    response = response_from(cast("Solution", found), Request("http://a/"))

    assert isinstance(response, HtmlResponse)
    assert response.encoding == encoding
    assert response.css("a::text").get() == "\U0001f600"
    assert response.css("a::attr(href)").get() == "/?q=\u043f\u20ac"
    cached = HtmlResponse(response.url, headers=response.headers, body=response.body)
    assert cached.css("a::text").get() == "\U0001f600"


@pytest.mark.parametrize("unit", ["<pre/>", "<pre>", "</pre>", "<!--", "<?", "<", "&lt;", " "])
@pytest.mark.parametrize("kind", ["text/xml", "text/plain"])
def test_time_for_a_document_grows_with_its_length(kind: str, unit: str) -> None:
    def read(text: str) -> None:
        with contextlib.suppress(SolveError):
            source_of(kind, text)

    for start in ("", "<html><body>", "<html><body><pre>"):
        assert not grows_too_fast(read, unit, 65_536, start)


def test_xml_that_the_browser_has_styled_says_so() -> None:
    """A reader of the log knows then why the cookies are tried."""
    with pytest.raises(NotHandedOver, match="by a style sheet or as broken"):
        source_of("text/xml", "<html><body><pre>x</pre></body></html>")


@given(st.text(st.characters(exclude_characters="\r\x00", exclude_categories=["Cs"]), max_size=60))
def test_any_text_comes_back_from_the_browsers_page_byte_by_byte(text: str) -> None:
    shown = text.replace("&", "&amp;").replace("\xa0", "&nbsp;")
    shown = shown.replace("<", "&lt;").replace(">", "&gt;")

    assert source_of("text/plain", SHOWN.format(shown)) == text


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("text/html", True),
        ("application/xhtml+xml", True),
        ("", True),
        ("text/xml", False),
        ("application/json", False),
        ("text/htmlx", False),
    ],
)
def test_dom_is_the_document_of_html_alone(kind: str, *, shown: bool) -> None:
    assert is_html(kind) is shown


def test_declaration_is_looked_for_where_browsers_look() -> None:
    late = " " * 5000 + '<meta charset="windows-1251">'

    assert encoding_of("text/html", late) == "utf-8"
    assert encoding_of(f"text/html; {'x' * 5000}; charset=windows-1251", "") == "utf-8"
