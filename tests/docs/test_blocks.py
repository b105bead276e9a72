"""Every code block is run by a test, or its page's source says why not."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from captcha_bypass.api.native.openapi import document
from captcha_bypass.client.options import parsers
from captcha_bypass.config import Config
from captcha_bypass.config.environment import BARE_NAMES
from tests.docs.exposition import metrics
from tests.docs.pages import PAGES, Block, blocks_of
from tests.support.repository import ROOT

#: Run by test_pages.py, with a service.
PLAYED = frozenset({"sh", "python", "json"})
#: Checked here.
READ = frozenset({"yaml", "promql", "ini"})
BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def of(language: str) -> list[Any]:
    return [pytest.param(b, id=b.where) for b in BLOCKS if b.language == language]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_a_block_is_run_or_says_why_not(block: Block) -> None:
    if block.why_not is None:
        assert block.language in PLAYED | READ
    else:
        assert len(block.why_not.split()) > 1, "that is no reason"


def test_most_blocks_are_run() -> None:
    marked = [block.where for block in BLOCKS if block.why_not]
    assert len(BLOCKS) > 60
    assert len(marked) < len(BLOCKS) / 4, marked


@pytest.mark.parametrize(
    ("source", "why_not"),
    [
        ("```sh\na\n```", None),
        ("<!-- not run: needs Docker -->\n```sh\na\n```", "needs Docker"),
        ("<!-- not run: needs Docker -->\nText.\n```sh\na\n```", None),
        ("<!-- not run: -->\n```sh\na\n```", None),
        ("- item\n\n  <!-- not run: in a list -->\n  ```sh\n  a\n  ```", "in a list"),
    ],
)
def test_a_mark_counts_for_the_block_right_after_it(source: str, why_not: str | None) -> None:
    (block,) = blocks_of("page.md", source)
    assert (block.text, block.why_not) == ("a\n", why_not)


@pytest.mark.parametrize("block", of("sh"))
def test_scripts_are_bash(block: Block) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", of("sh"))
def test_curl_says_why_it_fails_and_the_package_is_not_asked_of_pypi(block: Block) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if "curl" in words:
            assert words[words.index("curl") + 1] == "-sS"
        if "install" in words:
            assert not any(re.match(r"captcha[-_]bypass", word) for word in words)


def test_no_file_sends_readers_to_another_projects_package() -> None:
    """The name on PyPI is not ours."""
    places = (
        "*",
        "docs/*",
        "examples/**/*",
        "benchmarks/*",
        ".github/**/*",
        "captcha_bypass*/**/*.py",
    )
    paths = [path for place in places for path in ROOT.glob(place) if path.is_file()]
    assert ROOT / "README.md" in paths
    for path in paths:
        text = path.read_text(errors="replace")
        assert not re.search(r"install +['\"]?captcha[-_]bypass\b", text), path


def test_all_flags_in_scripts_exist() -> None:
    known = {"--" + name.replace("_", "-") for name in Config.model_fields}
    of_commands = {name: set(parser._option_string_actions) for name, parser in parsers().items()}
    seen = set[str]()
    for block in (block for block in BLOCKS if block.language == "sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0].endswith("captcha-bypass"):
                if words[1:] and words[1] in of_commands:
                    assert {w for w in words if w.startswith("--")} <= of_commands[words[1]]
                    continue
                seen |= {word for word in words if word.startswith("--")}
    assert seen
    assert seen <= known


@pytest.mark.parametrize("block", of("ini"))
def test_variables_in_env_files_are_settings(block: Block) -> None:
    known = {f"CAPTCHA_BYPASS_{name.upper()}" for name in Config.model_fields}
    known |= {name.upper() for name in BARE_NAMES}
    pairs = [line.partition("=") for line in block.text.splitlines()]
    assert all(value for _, _, value in pairs)
    assert {name for name, _, _ in pairs} <= known


def expressions() -> Iterator[tuple[str, str]]:
    for block in BLOCKS:
        if block.language == "promql":
            yield block.where, block.text
        elif block.language == "yaml":
            for group in yaml.safe_load(block.text).get("groups", []):
                for rule in group["rules"]:
                    yield f"{block.where} {rule['alert']}", rule["expr"]


@pytest.mark.parametrize(
    "expression", [pytest.param(text, id=where) for where, text in expressions()]
)
def test_queries_parse_and_name_metrics_and_labels_that_there_are(expression: str) -> None:
    known = {**metrics(), "up": {"job"}}
    selected: list[Any] = []

    def visit(node: object) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            selected.append(node)

    parsed = promql_parser.parse(expression)
    promql_parser.walk(parsed, visit)
    assert selected
    for selector in selected:
        assert selector.name in known
        assert {m.name for m in selector.matchers.matchers} <= known[selector.name]
    grouped = re.findall(r"\bby \(([^)]*)\)", expression)
    labels = {label.strip() for found in grouped for label in found.split(",")}
    assert labels <= set().union(*(known[selector.name] for selector in selected))


@pytest.mark.parametrize("block", of("yaml"))
def test_yaml_is_for_prometheus_and_fits_the_service(block: Block) -> None:
    read = yaml.safe_load(block.text)
    (kind,) = read
    if kind == "scrape_configs":
        (config,) = read[kind]
        assert set(config) == {"job_name", "authorization", "static_configs"}
        port = Config.model_fields["port"].default
        assert config["static_configs"] == [{"targets": [f"localhost:{port}"]}]
        assert "/metrics" in document()["paths"]  # Prometheus' own default path
        return
    assert kind == "groups"
    for group in read[kind]:
        assert set(group) == {"name", "rules"}
        for rule in group["rules"]:
            assert {"alert", "expr", "annotations"} <= set(rule) <= {*rule, "for"}
            assert re.fullmatch(r"\d+m", rule.get("for", "0m"))
            assert rule["annotations"]["summary"].endswith(".")
