"""One crawl in a process of its own: `python -m tests.captcha_bypass_scrapy.run FOLDER`.

Reads FOLDER/plan.json, writes each item to FOLDER/items.jsonl as it comes and the stats to
FOLDER/stats.json at the end.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from scrapy import signals
from scrapy.crawler import CrawlerProcess
from scrapy.exceptions import ScrapyDeprecationWarning

from tests.captcha_bypass_scrapy import spiders


def main(folder: Path) -> None:
    # A hook that Scrapy would call in an old way is an error of ours, and an old call from us too.
    warnings.filterwarnings("error", category=ScrapyDeprecationWarning, message=".*captcha_bypass")
    warnings.filterwarnings("error", category=ScrapyDeprecationWarning, module="captcha_bypass")
    plan = json.loads((folder / "plan.json").read_text())
    process: Any = _process_class(plan["settings"])(plan["settings"])
    crawler = process.create_crawler(getattr(spiders, plan["spider"]))

    def scraped(item: dict[str, Any]) -> None:
        with (folder / "items.jsonl").open("a") as file:
            file.write(json.dumps(item) + "\n")

    crawler.signals.connect(scraped, signal=signals.item_scraped)
    process.crawl(crawler, requests=plan["requests"])
    process.start()
    stats = dict(crawler.stats.get_stats())
    (folder / "stats.json").write_text(json.dumps(stats, default=str))


def _process_class(settings: dict[str, Any]) -> type:
    if "TWISTED_REACTOR_ENABLED" not in settings:
        return CrawlerProcess
    from scrapy.crawler import AsyncCrawlerProcess

    return AsyncCrawlerProcess


if __name__ == "__main__":
    main(Path(sys.argv[1]))
