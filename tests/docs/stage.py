"""Runs a page's code blocks in order, against a service and a site of our own."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.docs.pages import Block
from tests.docs.shapes import differences, documents, is_failure

#: What the blocks of a page are about, and what the challenge site has for it.
SUCCESS_TEXT = "Welcome, you are through"
#: Seconds for one block.
BLOCK_SECONDS = 60.0
#: A spider for settings that are shown without one.
PROBE = """
import scrapy

class Probe(scrapy.Spider):
    name = "probe"
    start_urls = ["https://example.com"]

    def parse(self, response):
        print(response.css("h1::text").get())
"""


class BlockFailed(AssertionError):
    """A block does not do what its page says."""


@dataclass
class Stage:
    """Where the blocks of one page run.

    Args:
        service: URL of a service with a browser, without a slash at the end.
        page: URL of a page behind a challenge, which is `https://example.com` in the blocks.
        folder: Where the blocks run, empty.
        task_id: A task whose result the blocks may ask for; made when one does.
    """

    service: str
    page: str
    folder: Path
    task_id: str = ""

    def play(self, blocks: Iterable[Block]) -> None:
        """Run all blocks that are not marked.

        Raises:
            BlockFailed: one fails, or the answer shown after it is not like the real one.
        """
        todo = [block for block in blocks if block.why_not is None]
        answers: list[object] = []
        for place, block in enumerate(todo):
            following = todo[place + 1] if place + 1 < len(todo) else None
            if block.language == "json":
                self._json(block, answers)
            elif block.language in ("sh", "python"):
                answers = documents(self._run(block))
                self._check_answers(block, answers, following)
        self._check_files(todo)

    def _run(self, block: Block) -> str:
        """Run a script and return what it prints."""
        text = self.fill(block.text)
        if block.language == "sh":
            return self._command(block, ["bash", "-euo", "pipefail", "-c", text])
        if block.file is None:
            return self._command(block, [sys.executable, "-c", text])
        (self.folder / block.file).write_text(text)
        if block.file != "settings.py":
            return ""
        (self.folder / "probe.py").write_text(self.fill(PROBE))
        env = {"SCRAPY_SETTINGS_MODULE": "settings", "PYTHONPATH": str(self.folder)}
        printed = self._command(block, ["scrapy", "runspider", "probe.py"], env)
        if SUCCESS_TEXT not in printed:
            raise BlockFailed(f"{block.where}: these settings do not get through")
        return ""

    def _command(self, block: Block, command: list[str], env: dict[str, str] | None = None) -> str:
        # HTTPie takes what is no terminal for a body.
        outer, inner = pty.openpty()
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env={**self._environment(), **(env or {})},
                stdin=inner,
                capture_output=True,
                text=True,
                timeout=BLOCK_SECONDS,
                check=False,
            )
        finally:
            os.close(outer)
            os.close(inner)
        if done.returncode != 0:
            raise BlockFailed(f"{block.where}: exit code {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        programs = Path(sys.executable).parent
        (self.folder / ".httpie").mkdir(exist_ok=True)
        # It would ask for updates.
        (self.folder / ".httpie/config.json").write_text('{"disable_update_warnings": true}')
        return {
            "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "HTTPIE_CONFIG_DIR": str(self.folder / ".httpie"),
        }

    def _check_answers(self, block: Block, answers: list[object], following: Block | None) -> None:
        announced = following is not None and following.language == "json"
        shown = documents(following.text)[:1] if announced and following is not None else []
        if any(map(is_failure, answers)) and not any(map(is_failure, shown)):
            raise BlockFailed(f"{block.where}: the service refuses it: {answers}")

    def _json(self, block: Block, answers: list[object]) -> None:
        shown = json.loads(block.text)
        if isinstance(shown, dict) and "timeout" in shown and "url" in shown:
            task_id = self.submit(json.loads(self.fill(block.text)))  # it is accepted
            self._call(f"/task/{task_id}", method="DELETE")
            return
        if not answers:
            raise BlockFailed(f"{block.where}: no block before it has an answer like this")
        if found := list(differences(shown, answers[-1])):
            raise BlockFailed(f"{block.where}: " + "; ".join(found))

    def _check_files(self, blocks: list[Block]) -> None:
        scripts = "\n".join(block.text for block in blocks if block.language == "sh")
        for block in blocks:
            if block.file not in (None, "settings.py") and str(block.file) not in scripts:
                raise BlockFailed(f"{block.where}: nothing runs {block.file}")

    def fill(self, text: str) -> str:
        """Put what is here in place of what a reader has."""
        host = self.service.removeprefix("http://")
        text = re.sub(r"(?:localhost|127\.0\.0\.1):8191", host, text)
        text = re.sub(r"(?<=\s):8191(?=/)", host, text)
        text = text.replace("https://example.com", self.page)
        text = text.replace('"https://"', '"http://"')  # what adapters are mounted for
        text = text.replace("Example Domain", SUCCESS_TEXT)
        kept = "DELETE" not in text
        text = _each("TASK_ID", text, self._known_task if kept else self._new_task)
        return _each("NAME", text, self._new_session)

    def _known_task(self) -> str:
        """Return one whose result may be read again and again."""
        self.task_id = self.task_id or self._new_task()
        return self.task_id

    def _new_task(self) -> str:
        wish = {"url": self.page, "success_text": SUCCESS_TEXT, "timeout": 60}
        return self.submit(wish)

    def _new_session(self) -> str:
        answer = self._call("/v1", {"cmd": "sessions.create"})
        return str(answer["session"])

    def submit(self, request: dict[str, Any]) -> str:
        """Hand in a task and return its id."""
        return str(self._call("/solve", request)["task_id"])

    def leave(self) -> None:
        """End the sessions that the blocks began, and wait for their tasks."""
        for name in self._call("/sessions")["sessions"]:
            self._call(f"/sessions/{name}", method="DELETE")
        deadline = time.monotonic() + BLOCK_SECONDS
        while (health := self._call("/health"))["running"] or health["queue"]:
            assert time.monotonic() < deadline, health
            time.sleep(0.05)

    def _call(
        self, path: str, body: dict[str, Any] | None = None, *, method: str | None = None
    ) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(self.service + path, data, headers, method=method)  # noqa: S310 - see below
        with urlopen(request, timeout=BLOCK_SECONDS) as answer:  # noqa: S310 - a service of ours
            return dict(json.load(answer))


def _each(word: str, text: str, make: Callable[[], str]) -> str:
    return re.sub(rf"\b{word}\b", lambda _: make(), text)
