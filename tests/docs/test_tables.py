"""The tables in the pages say what the code does, and leave nothing out."""

from __future__ import annotations

import ast
import re
from typing import get_args

import pytest

from captcha_bypass import __version__, errors
from captcha_bypass.api.flaresolverr.commands import Command
from captcha_bypass.api.native.answers import TaskView
from captcha_bypass.api.native.openapi import document
from captcha_bypass.challenges import VENDORS, Kind
from captcha_bypass.client.options import parsers
from captcha_bypass.config import Config
from captcha_bypass.config.memory import needed_bytes
from captcha_bypass.wire.models import Cookie, SolveRequest
from captcha_bypass.wire.results import HintCode, ResultCookie, Solution
from captcha_bypass_scrapy.options import OPTIONS
from tests.docs.exposition import families, metrics
from tests.docs.pages import PAGES, blocks_of, read, section
from tests.support.repository import ROOT

#: Of `captcha-bypass solve` and `captcha-bypass fetch`.
OPTIONS_OF_COMMANDS = {
    option
    for parser in parsers().values()
    for action in parser._actions
    for option in action.option_strings
}
API, SCRAPY, OPERATING = "docs/api.md", "docs/scrapy.md", "docs/operating.md"
TROUBLE = "docs/troubleshooting.md"


def rows(text: str) -> list[list[str]]:
    """Return the cells of all rows in a text's tables, but for their heads."""
    found = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in found]


def named(text: str) -> set[str]:
    """Return what stands in backticks in the first cells of a text's tables."""
    return {name for row in rows(text) for name in re.findall(r"`([^`]+)`", row[0])}


def leaves(base: type[errors.RequestError]) -> set[str]:
    found = {base.code}
    for leaf in base.__subclasses__():
        found |= leaves(leaf)
    return found


def test_the_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) <= 150


@pytest.mark.parametrize("name", Config.model_fields)
def test_every_setting_stands_in_the_table_with_its_default(name: str) -> None:
    flag = f"`--{name.replace('_', '-')}`"
    (row,) = (row for row in rows(read("docs/settings.md")) if row[0] == flag)
    field = Config.model_fields[name]
    if field.default_factory is None and field.default is not None:
        default = field.default
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        shown = shown.lower() if isinstance(default, bool) else shown
        assert row[1] == f"`{shown}`"
    assert row[-1]


def test_no_setting_in_the_table_is_made_up() -> None:
    shown = {name for name in named(read("docs/settings.md")) if name.startswith("--")}
    assert shown == {f"--{name.replace('_', '-')}" for name in Config.model_fields}


def test_every_error_of_a_request_is_explained_with_its_status() -> None:
    shown = {row[0].strip("`"): int(row[1]) for row in rows(section(API, "Refused requests"))[1:]}
    statuses = {leaf.code: leaf.status for leaf in _all_request_errors()}
    # The door's own answer, for which no exception is made.
    assert shown == {**statuses, "too_many_connections": 503}
    assert leaves(errors.RequestError) == set(statuses)


def _all_request_errors() -> list[type[errors.RequestError]]:
    found, todo = [], list(errors.RequestError.__subclasses__())
    while todo:
        leaf = todo.pop()
        found.append(leaf)
        todo += leaf.__subclasses__()
    return found


def test_every_error_of_a_task_is_explained() -> None:
    assert named(section(API, "Errors of tasks")) >= set(get_args(errors.TaskErrorCode))


def test_every_field_of_a_request_is_explained() -> None:
    assert named(section(API, "POST /solve")) == set(SolveRequest.model_fields)


def test_every_field_of_a_result_is_explained() -> None:
    text = section(API, "GET /result/{task_id}")
    assert named(text) >= set(Solution.model_fields)
    assert set(get_args(TaskView.model_fields["status"].annotation)) <= named(text)


def test_every_kind_of_challenge_and_every_hint_is_explained() -> None:
    assert named(section(API, "Vendors")) == set(get_args(Kind))
    assert named(section(API, "Hints")) == set(get_args(HintCode))
    assert named(section(TROUBLE, "What the hints say")) == set(get_args(HintCode))


def test_every_field_of_a_cookie_is_explained() -> None:
    fields = set(Cookie.model_fields) | set(ResultCookie.model_fields)
    assert named(section(API, "Cookies")) == fields


def test_every_vendor_is_named() -> None:
    names = section(API, "Vendors").partition("| kind |")[0]
    assert set(re.findall(r"`([a-z-]+)`", names)) - {"challenge", "solved", "block"} == set(VENDORS)
    count = len(VENDORS - {"captcha"})
    assert f"{count} vendors' marks" in read("README.md")


def test_every_cause_of_a_restart_is_explained() -> None:
    browsers = document()["components"]["schemas"]["Browsers"]["properties"]
    told = browsers["restarts"]["description"]
    causes = set(re.findall(r"\b[a-z_]+\b", told.partition("by cause:")[2]))
    assert len(causes) > 8
    assert named(section(API, "GET /health")) >= causes


def test_every_metric_is_explained_with_its_labels() -> None:
    text = section(OPERATING, "Prometheus")
    shown = dict(re.findall(r"`((?:captcha_bypass|flaresolverr)_\w+)(\{[\w,]+\})?`", text))
    samples = metrics()
    assert len(families()) > 10
    for family in families():
        name = family if family in shown else f"{family}_total"
        assert name in shown, family
        sample = next(s for s in (name, f"{name}_count") if s in samples)
        labels = set(filter(None, shown[name].strip("{}").split(",")))
        assert labels == samples[sample], name


def test_every_reason_for_which_connections_are_closed_is_explained() -> None:
    assert all(
        f"`{reason}`" in section(OPERATING, "Prometheus")
        for reason in get_args(errors.ConnectionErrorCode)
    )


def test_the_table_of_memory_is_what_the_service_warns_by() -> None:
    browser = Config.model_fields["max_browser_bytes"].default
    table = [row for row in rows(section(OPERATING, "How large a machine")) if row[0][0].isdigit()]
    assert len(table) > 3
    for workers, shared, apart in table:
        ends = [int(number) for number in re.findall(r"\d+", workers)]
        for cell, tasks in ((shared, 100), (apart, 1)):
            needed = {needed_bytes(end, tasks, browser) / 1024**3 for end in ends}
            assert {float(number) for number in re.findall(r"\d+", cell)} == needed


def test_every_parameter_of_flaresolverr_is_named() -> None:
    shown = named(section("docs/flaresolverr.md", "The commands"))
    assert shown == set(Command.model_fields)


@pytest.mark.parametrize("route", [*document()["paths"], "/openapi.json"])
def test_every_endpoint_has_an_example_for_curl_and_for_httpie(route: str) -> None:
    path = route.replace("{task_id}", "TASK_ID").replace("{name}", "NAME")
    blocks = [*blocks_of(API), *blocks_of("docs/fetch.md")]
    texts = [block.text for block in blocks if block.language == "sh"]
    assert any(text.startswith("curl") and f"localhost:8191{path}" in text for text in texts)
    assert any(text.startswith("http ") and f":8191{path}" in text for text in texts)


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_in_the_text_exists(page: str) -> None:
    known = {f"--{name.replace('_', '-')}" for name in Config.model_fields} | OPTIONS_OF_COMMANDS
    others = {"--shm-size", "--tmpfs"}  # of Docker
    flags = set(re.findall(r"`(--[a-z-]+)", read(page)))
    assert flags - others <= known


def test_changelog_is_for_this_version_or_unreleased() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0].startswith(f"{__version__} ")


def scrapy_source() -> str:
    return "\n".join(p.read_text() for p in (ROOT / "captcha_bypass_scrapy").glob("*.py"))


def test_every_scrapy_setting_is_explained() -> None:
    names = set(re.findall(r'(?:_PREFIX \+ |\(settings, )"([A-Z_]+)"', scrapy_source()))
    assert {"URL", "MODE", "TIMEOUT", "API_KEY", "ENABLED"} <= names
    shown = section(SCRAPY, "Settings").replace("`..._", "`CAPTCHA_BYPASS_")
    assert not [name for name in sorted(names) if f"`CAPTCHA_BYPASS_{name}`" not in shown]


def test_every_option_of_a_scrapy_request_is_explained() -> None:
    assert named(section(SCRAPY, "One request, one spider")) == set(OPTIONS)


def test_every_scrapy_stat_is_explained() -> None:
    names = {
        re.sub(r"\{.*", "", name)
        for name in re.findall(
            r'(?:count\(f?|captcha_bypass/)"?([a-z_]+/[a-z_{}./]+)', scrapy_source()
        )
    }
    assert {"solve/count", "retry/stale", "gave_up/reason/"} <= names
    table = section(SCRAPY, "Stats")
    assert not [name for name in sorted(names) if name not in table]


def texts_of(package: str) -> str:
    """Return all texts in a package's code, the parts of one as one."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / package).rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    constants = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return "\n".join(text for text in constants if isinstance(text, str))


def test_every_message_in_troubleshooting_is_one_of_ours() -> None:
    said = texts_of("captcha_bypass")
    messages = named(section("docs/troubleshooting.md", "There is no browser"))
    messages |= {
        "workers may need",
        "result dropped before its time",
        "the exit of a proxy is unknown",
    }
    assert len(messages) > 8
    for message in messages:
        assert message in said, message
        assert f"`{message}`" in read("docs/troubleshooting.md")
    scrapy = texts_of("captcha_bypass_scrapy")
    assert "Gave up on" in scrapy
    assert "Challenges cannot be solved" in scrapy
