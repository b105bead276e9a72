"""Captchas that wait for a person, by the address of the frame that a page shows them in."""

from __future__ import annotations

from urllib.parse import urlsplit

#: Host and the beginning of the path, as their vendors' own scripts make them; with Turnstile's the
#: rest says which mode, but not whether it waits.
_FRAMES = (
    ("challenges.cloudflare.com", "/cdn-cgi/challenge-platform/"),
    ("newassets.hcaptcha.com", "/captcha/"),
    ("www.google.com", "/recaptcha/api2/anchor"),
    ("www.google.com", "/recaptcha/enterprise/anchor"),
    ("www.recaptcha.net", "/recaptcha/api2/anchor"),
    ("www.recaptcha.net", "/recaptcha/enterprise/anchor"),
    ("geo.captcha-delivery.com", "/captcha/"),
)
#: reCAPTCHA's badge and hCaptcha's frame where the site asks a person only now and then.
_INVISIBLE = ("size=invisible", "frame=checkbox-invisible")
#: Characters of a URL that are looked at.
_URL_CHARS = 4096


def is_widget(url: str) -> bool:
    """Whether a frame of this address is a captcha that a person has to answer."""
    try:
        parts = urlsplit(url[:_URL_CHARS])
    except ValueError:
        return False
    if parts.scheme != "https" or any(mark in url[:_URL_CHARS] for mark in _INVISIBLE):
        return False
    return any(parts.netloc == host and parts.path.startswith(path) for host, path in _FRAMES)
