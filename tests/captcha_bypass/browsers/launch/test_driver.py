"""The Playwright driver, as far as it goes without a browser."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import playwright
from playwright._impl._driver import compute_driver_executable

import captcha_bypass.browsers.launch.driver

_MENDS = Path(captcha_bypass.browsers.launch.driver.__file__).with_name("driver_mends.cjs")
_BUNDLE = Path(playwright.__file__).with_name("driver") / "package/lib/coreBundle.js"
_COUNT = """
const [, mends, bundle] = process.argv;
const source = require("node:fs").readFileSync(bundle, "utf8");
const counts = require(mends).mends.map((mend) => mend.map(([wrong]) => source.split(wrong).length - 1));
console.log(JSON.stringify(counts));
"""


def test_each_mend_of_the_driver_fits_one_place_of_the_playwright_that_is_installed() -> None:
    node = compute_driver_executable()[0]
    command = [node, "-e", _COUNT, str(_MENDS), str(_BUNDLE)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30)
    counts = json.loads(done.stdout)
    assert all(mend for mend in counts)
    assert {count for mend in counts for count in mend} == {1}, counts
