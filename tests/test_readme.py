"""The README says what the code does."""

from __future__ import annotations

import re
import shlex
from typing import get_args

import pytest

from captcha_bypass import __version__, errors
from captcha_bypass.api.flaresolverr_requests import Command
from captcha_bypass.api.openapi import document
from captcha_bypass.config import Config
from captcha_bypass.metrics import Metrics, State
from captcha_bypass.models import SolveRequest
from captcha_bypass.tasks.base import Stats
from tests.support.repository import ROOT

README = (ROOT / "README.md").read_text()


def leaves(base: type[errors.RequestError]) -> set[str]:
    found = {base.code}
    for leaf in base.__subclasses__():
        found |= leaves(leaf)
    return found


@pytest.mark.parametrize("name", Config.model_fields)
def test_every_setting_stands_in_the_table_with_its_default(name: str) -> None:
    row = re.search(rf"^\| `--{name.replace('_', '-')}` \|([^|]*)\|", README, re.MULTILINE)
    assert row, f"{name} is not in the table"
    field = Config.model_fields[name]
    if field.default_factory is None and field.default is not None:
        default = field.default
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        shown = shown.lower() if isinstance(default, bool) else shown
        assert row.group(1).strip() == f"`{shown}`"


def test_every_error_code_is_explained() -> None:
    codes = leaves(errors.RequestError) | set(get_args(errors.TaskErrorCode))
    assert not [code for code in sorted(codes) if f"`{code}`" not in README]


def test_every_metric_is_explained() -> None:
    text = Metrics().exposition(State(Stats(0, 0, 0))).decode()
    names = re.findall(r"^# TYPE ((?:captcha_bypass|flaresolverr)_\w+)", text, re.MULTILINE)
    assert len(names) > 10
    assert not [n for n in names if not re.search(rf"`{n}(?:_total)?[`{{]", README)]


def test_every_field_of_a_request_is_explained() -> None:
    assert not [name for name in SolveRequest.model_fields if f"| `{name}` |" not in README]


def test_every_parameter_of_flaresolverr_is_named() -> None:
    section = README[README.index("## Coming from FlareSolverr") : README.index("## Scrapy\n")]
    assert not [name for name in Command.model_fields if f"`{name}`" not in section]


@pytest.mark.parametrize("route", [*document()["paths"], "/openapi.json"])
def test_every_endpoint_has_an_example_for_curl_and_for_httpie(route: str) -> None:
    path = route.replace("{task_id}", "TASK_ID").replace("{name}", "NAME")
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert any(block.startswith("curl") and f"localhost:8191{path}" in block for block in blocks)
    assert any(block.startswith("http ") and f":8191{path}" in block for block in blocks)


def test_all_flags_in_examples_exist() -> None:
    known = {"--" + name.replace("_", "-") for name in Config.model_fields}
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if any(word.endswith("captcha-bypass") for word in words):
                assert {word for word in words if word.startswith("--")} <= known


def test_changelog_is_for_this_version_or_unreleased() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0].startswith(f"{__version__} ")


def scrapy_source() -> str:
    return "\n".join(p.read_text() for p in (ROOT / "captcha_bypass_scrapy").glob("*.py"))


def test_every_scrapy_setting_is_explained() -> None:
    names = set(re.findall(r'(?:_PREFIX \+ |\(settings, )"([A-Z_]+)"', scrapy_source()))
    assert {"URL", "MODE", "TIMEOUT", "API_KEY", "ENABLED"} <= names
    shown = README.replace("`..._", "`CAPTCHA_BYPASS_")
    assert not [name for name in sorted(names) if f"`CAPTCHA_BYPASS_{name}`" not in shown]


def test_every_scrapy_stat_is_explained() -> None:
    names = {
        re.sub(r"\{.*", "", name)
        for name in re.findall(
            r'(?:count\(f?|captcha_bypass/)"?([a-z_]+/[a-z_{}./]+)', scrapy_source()
        )
    }
    assert {"solve/count", "retry/stale", "gave_up/reason/"} <= names
    table = README[README.index("| stat ") : README.index("**HTTP cache.**")]
    assert not [name for name in sorted(names) if name not in table]
