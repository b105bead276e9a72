"""The page about clients says what the clients have, and leaves nothing out."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import get_args

import pytest

from captcha_bypass import client
from captcha_bypass.client import ClientError, FetchResult, Health, SolveResult
from captcha_bypass.client.options import (
    BAD_REQUEST,
    NO_PAGE,
    NO_SERVICE,
    NOT_THROUGH,
    parsers,
)
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


@pytest.mark.parametrize("command", parsers())
def test_every_option_of_a_command_is_explained(command: str) -> None:
    text = section(PAGE, "Command line")
    table = text.partition(f"| option of `{command}` |")[2].partition("\n\n")[0]
    options = {name for a in parsers()[command]._actions for name in a.option_strings[-1:]}
    rows = [row.split(" | ")[0] for row in table.splitlines()]
    assert set(re.findall(r"`(--[a-z-]+)", "".join(rows))) == options - {"--help"}


def test_every_exit_code_is_explained() -> None:
    table = section(PAGE, "Command line").partition("| exit code |")[2]
    codes = {NOT_THROUGH, BAD_REQUEST, NO_SERVICE, NO_PAGE, 0}
    assert {int(code) for code in re.findall(r"^\| (\d) \|", table, re.MULTILINE)} == codes


def test_every_public_name_is_on_the_page_or_returned_by_what_is() -> None:
    returned = {"Session", "AsyncSession", "Cookie", "Hint"}
    assert set(client.__all__) - returned <= names(read(PAGE)) | {"SolveResult", "FetchResult"}
