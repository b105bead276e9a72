"""Numbers that others keep reach a scrape as they are."""

from __future__ import annotations

from dataclasses import replace

from captcha_bypass.metrics import Metrics
from captcha_bypass.status import (
    Fetches,
)
from captcha_bypass.tasks.base import Stats
from tests.support.samples import key, of
from tests.support.status import BROWSERS, EGRESS, NOTHING


def test_numbers_of_browsers_and_egress_are_passed_on() -> None:
    metrics = Metrics()
    nothing = of(metrics)
    for _ in range(2):  # a scrape adds nothing
        found = of(
            metrics,
            replace(
                NOTHING,
                tasks=Stats(1, 2, 3, oldest=2.5, waiting_for_human=6),
                browsers=BROWSERS,
                egress=EGRESS,
                fetches=Fetches(4, 5),
            ),
        )
        ours = {k: v for k, v in found.items() if k[0].startswith("captcha_bypass_")}
        assert ours.keys() == {k for k in nothing if k[0].startswith("captcha_bypass_")}
        assert {k: v for k, v in ours.items() if v != nothing[k]} == {
            key("captcha_bypass_queue_depth"): 1,
            key("captcha_bypass_queue_oldest_seconds"): 2.5,
            key("captcha_bypass_browsers_bytes"): 300,
            key("captcha_bypass_tasks_running"): 2,
            key("captcha_bypass_waiting_for_human"): 6,
            key("captcha_bypass_fetches_running"): 4,
            key("captcha_bypass_fetch_sites"): 5,
            key("captcha_bypass_workers"): 3,
            key("captcha_bypass_browsers_alive"): 2,
            key("captcha_bypass_browsers_starting"): 1,
            key("captcha_bypass_browser_restarts_total", cause="tasks"): 2,
            key("captcha_bypass_browser_restarts_total", cause="hang"): 1,
            key("captcha_bypass_egress_sent_bytes_total"): 5,
            key("captcha_bypass_egress_received_bytes_total"): 7,
            key("captcha_bypass_egress_connections_total"): 3,
            key("captcha_bypass_egress_failures_total", code="dns_error"): 2,
            key("captcha_bypass_egress_failures_total", code="blocked_address"): 1,
        }
