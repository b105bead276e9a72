"""What is counted for Prometheus."""

from captcha_bypass.metrics.counters import Metrics

__all__ = ["Metrics"]
