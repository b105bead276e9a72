"""Copies the operator's page's libraries from node_modules, as `npm ci` put them there.

`vendor.json` beside them names each one's version, licence and checksum. Of what is copied one thing
is changed: a module that imports another by its package's name imports the file beside it, as
browsers have no list of packages.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
VENDOR = ROOT / "captcha_bypass/api/dashboard/static/vendor"

#: What is copied: file in the package, its name here.
PACKAGES = {
    "preact": {
        "dist/preact.mjs": "preact.js",
        "hooks/dist/hooks.mjs": "preact-hooks.js",
        "LICENSE": "preact.LICENSE.txt",
    },
    "htm": {"dist/htm.mjs": "htm.js", "LICENSE": "htm.LICENSE.txt"},
    "uplot": {
        "dist/uPlot.esm.js": "uplot.js",
        "dist/uPlot.min.css": "uplot.css",
        "LICENSE": "uplot.LICENSE.txt",
    },
}

#: What tells the types of a module here, for `make lint`: file, its content.
TYPES = {
    "preact": {
        "preact.d.ts": 'export * from "preact";\n',
        "preact-hooks.d.ts": 'export * from "preact/hooks";\n',
    },
    "htm": {"htm.d.ts": 'export { default } from "htm";\n'},
    "uplot": {"uplot.d.ts": 'export { default } from "uplot";\n'},
}


def copied(package: str, file: str) -> bytes:
    """Return what a file is here."""
    text = (ROOT / "node_modules" / package / file).read_text(encoding="utf-8")
    text = re.sub(r'\bfrom\s*"preact"', 'from"./preact.js"', text)
    # It names a file that is not here.
    text = re.sub(r"^//# sourceMappingURL=.*\n?", "", text, flags=re.MULTILINE)
    return text.encode()


def main() -> None:
    """Write the folder anew."""
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    VENDOR.mkdir(exist_ok=True)
    for path in VENDOR.iterdir():
        path.unlink()
    listed: dict[str, Any] = {}
    for package, files in PACKAGES.items():
        here = {name: copied(package, file) for file, name in files.items()}
        here |= {name: text.encode() for name, text in TYPES[package].items()}
        for name, content in here.items():
            (VENDOR / name).write_bytes(content)
        entry = locked[f"node_modules/{package}"]
        listed[package] = {
            "version": entry["version"],
            "license": entry["license"],
            "package": f"pkg:npm/{package}@{entry['version']}",
            "integrity": entry["integrity"],
            "files": {name: _sha256(content) for name, content in sorted(here.items())},
        }
        print(f"{package} {entry['version']} ({entry['license']})")
    (VENDOR / "vendor.json").write_text(json.dumps(listed, indent=2) + "\n")


def _sha256(content: bytes) -> str:
    return f"sha256-{hashlib.sha256(content).hexdigest()}"


if __name__ == "__main__":
    main()
