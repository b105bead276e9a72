"""The page about clients says what the clients have, and leaves nothing out."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import get_args

import pytest

from captcha_bypass import client
from captcha_bypass.client import ClientError, FetchResult, Health, SolveResult
from captcha_bypass.errors import FetchErrorCode
from tests.docs.pages import read, section

PAGE = "docs/clients.md"


def names(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)(?:\([^`]*\))?`", text))


@pytest.mark.parametrize("result", [SolveResult, FetchResult, Health])
def test_every_field_and_method_of_a_result_is_named(
    result: type[SolveResult | FetchResult | Health],
) -> None:
    members = {name for name in vars(result) if not name.startswith("_")} - {"read"}
    shown = names(section(PAGE, "What comes back")) | {"header"}
    assert {field.name for field in fields(result)} | members <= shown


def test_every_error_is_explained() -> None:
    errors = {
        name
        for name, found in vars(client).items()
        if isinstance(found, type) and issubclass(found, ClientError)
    }
    assert errors <= names(section(PAGE, "What goes wrong"))


def test_codes_of_pages_that_are_not_through_are_the_services() -> None:
    rows = section(PAGE, "What goes wrong").splitlines()
    (row,) = (row for row in rows if row.startswith("| `NotSolved`"))
    assert names(row.split("|")[2]) <= set(get_args(FetchErrorCode))


def test_every_public_name_is_on_the_page_or_returned_by_what_is() -> None:
    returned = {"Session", "AsyncSession", "Cookie"}
    assert set(client.__all__) - returned <= names(read(PAGE)) | {"SolveResult", "FetchResult"}
