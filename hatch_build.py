"""Metadata that only whoever publishes knows: the address of the repository.

With REPOSITORY_URL=https://github.com/OWNER/NAME in the environment, what is built has that address as
its [project.urls], and in its description links that work without the files around it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

#: The target of a link in Markdown that names no host.
_LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#]*)(?P<anchor>#[^)]*)?\)")


class Metadata(MetadataHookInterface):
    """Fills in `readme`, and `urls` where the repository is known."""

    def update(self, metadata: dict[str, Any]) -> None:
        """See MetadataHookInterface."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository = os.environ.get("REPOSITORY_URL", "").rstrip("/")
        if repository:
            files = f"{repository}/blob/v{metadata['version']}"
            text = described(text, repository, files)
            metadata["urls"] = {
                "Repository": repository,
                "Documentation": f"{files}/docs/README.md",
                "Changelog": f"{files}/CHANGELOG.md",
                "Issues": f"{repository}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def described(readme: str, repository: str, files: str) -> str:
    """Return the README for a page that has neither the files beside it nor anchors.

    Args:
        files: URL of the folder that the README is in.
    """

    def absolute(link: re.Match[str]) -> str:
        return f"]({files}/{link['path'] or 'README.md'}{link['anchor'] or ''})"

    known = readme.replace(
        " `REPOSITORY` is the address of the page where you read this.", ""
    ).replace("REPOSITORY", repository)
    return _LINK.sub(absolute, known)
