"""Sources are read in the encoding that browsers would take them to be in."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captcha_bypass.solving.sources import decode

TEXTS = {
    "windows-1251": "Привет, мир",
    "gbk": "你好世界",
    "gb2312": "你好",
    "big5": "你好",
    "shift_jis": "こんにちは",
    "euc-jp": "こんにちは",
    "euc-kr": "안녕",
    "koi8-r": "Привет",
    "iso-8859-1": "déjà",
    "utf-8": "Привет 你好",
}


def as_firefox_gives(source: bytes) -> bytes:
    """Through WebDriver BiDi: what is not UTF-8 comes with each byte as a character."""
    try:
        source.decode()
    except UnicodeDecodeError:
        return source.decode("latin-1").encode()
    return source


@pytest.mark.parametrize("label", TEXTS)
def test_declared_encoding_is_used(label: str) -> None:
    text = TEXTS[label]
    assert decode(text.encode(label), f"text/html; Charset = '{label.upper()}'") == text
    assert decode(as_firefox_gives(text.encode(label)), f"text/html; charset={label}") == text
    for declaration in (
        f'<meta charset="{label}">',
        f"<META content='text/html; charset={label}' http-equiv=content-type>",
        f'<?xml version="1.0" encoding="{label}"?>',
    ):
        source = f"<!-- <meta --><title>x</title>{declaration}{text}"
        assert decode(source.encode(label), "text/html") == source


def test_header_beats_meta_and_a_byte_order_mark_beats_both() -> None:
    source = '<meta charset="koi8-r">Привет'
    assert decode(source.encode("cp1251"), "text/html; charset=windows-1251") == source
    for mark, encoding in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        marked = mark + source.encode(encoding)
        assert decode(marked, "text/html; charset=cp1251") == source
        assert decode(as_firefox_gives(marked), "text/html; charset=cp1251") == source


def test_latin_1_is_what_browsers_take_for_it() -> None:
    assert decode(b"\x93quoted\x94 \x80", "text/html; charset=iso-8859-1") == "“quoted” €"


def test_undeclared_is_utf_8_or_western() -> None:
    assert decode("Привет".encode(), "text/html") == "Привет"
    assert decode("déjà".encode("cp1252"), "") == decode("déjà".encode(), "") == "déjà"
    assert decode(as_firefox_gives("“déjà”".encode("cp1252")), "") == "“déjà”"
    assert decode("<meta charset=utf-16>Привет".encode(), "").endswith("Привет")


@pytest.mark.parametrize("label", ["rot13", "hex", "zlib", "idna", "unicode_escape", "utf-7", "x"])
def test_encodings_that_no_browser_knows_are_not_used(label: str) -> None:
    assert decode(b"a\\u0041+AGE-", f"text/html; charset={label}") == "a\\u0041+AGE-"


@given(st.binary(), st.text())
def test_whatever_a_site_sends_is_text(source: bytes, content_type: str) -> None:
    assert isinstance(decode(source, content_type), str)
    assert isinstance(decode(b"<meta " + source, content_type), str)
