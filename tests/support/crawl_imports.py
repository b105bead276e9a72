"""Once it is imported, so is what a crawl imports, which is more than half of what a small one costs."""

from __future__ import annotations

import gc
from importlib import import_module

#: None of them installs a reactor.
NAMES = (
    "aiohttp.web",
    "captcha_bypass_scrapy.middleware",
    "scrapy.core.downloader.handlers.http11",
    "scrapy.core.engine",
    "scrapy.crawler",
    "scrapy.downloadermiddlewares.redirect",
    "scrapy.dupefilters",
    "scrapy.extensions.feedexport",
    "scrapy.extensions.telnet",
    "scrapy.extensions.throttle",
    "scrapy.spidermiddlewares.referer",
    "scrapy.squeues",
    "twisted.internet.asyncioreactor",
)

for name in NAMES:
    import_module(name)
gc.collect()
gc.freeze()  # the first collection in each fork would look through it, and so copy it
