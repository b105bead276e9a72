"""The service's settings: where each comes from, and what this machine gives it."""

from captcha_bypass.config.command_line import parse
from captcha_bypass.config.settings import Config
from captcha_bypass.config.values import is_loopback

__all__ = ["Config", "is_loopback", "parse"]
