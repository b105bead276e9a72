"""The service's settings: where each comes from, and what this machine gives it."""

from captcha_bypass.config.settings import Config, is_loopback, parse

__all__ = ["Config", "is_loopback", "parse"]
