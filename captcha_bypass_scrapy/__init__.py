"""Scrapy middleware: challenged crawls just continue.

The service opens a challenged page once in a real browser; the crawl goes on with its cookies.
"""

from captcha_bypass_scrapy.addon import Addon
from captcha_bypass_scrapy.cache_policy import CachePolicy
from captcha_bypass_scrapy.errors import ChallengeNotSolved
from captcha_bypass_scrapy.middleware import CaptchaBypassMiddleware

__all__ = ["Addon", "CachePolicy", "CaptchaBypassMiddleware", "ChallengeNotSolved"]
