"""What the package shows, and what it costs to import it."""

from __future__ import annotations

import subprocess
import sys

import captcha_bypass_scrapy
from captcha_bypass_scrapy import CaptchaBypassMiddleware


def test_importing_it_loads_no_browser_and_no_service() -> None:
    heavy = ("playwright", "camoufox", "pydantic", "pydantic_settings", "captcha_bypass.app")
    code = (
        "import sys, captcha_bypass_scrapy\n"
        f"print([name for name in {heavy} if name in sys.modules],"
        " [name for name in sys.modules if name.startswith('captcha_bypass.')"
        " and not name.startswith('captcha_bypass.challenges')],"
        " 'twisted.internet.reactor' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[] [] False", done


def test_public_names_are_few() -> None:
    assert captcha_bypass_scrapy.__all__ == [
        "Addon",
        "CachePolicy",
        "CaptchaBypassMiddleware",
        "ChallengeNotSolved",
    ]
    assert CaptchaBypassMiddleware.__module__ == "captcha_bypass_scrapy.middleware"
