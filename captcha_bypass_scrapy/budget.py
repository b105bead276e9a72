"""How many solves a crawl may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captcha_bypass_scrapy.errors import SolveError

if TYPE_CHECKING:
    from captcha_bypass_scrapy.keys import SiteKey


class Budget:
    """Bounds the solves of a crawl: a site may have a new host name for every link.

    Args:
        hosts: Of one registered domain.
        solves: Of the whole crawl, tries that fail included.
    """

    def __init__(self, hosts: int, solves: int) -> None:
        self._hosts = hosts
        self._solves = solves
        self._by_domain: dict[str, set[str]] = {}

    def spend(self, key: SiteKey) -> None:
        """Count one solve for a site.

        Raises:
            SolveError: there is none left.
        """
        host, domain = key.host, key.domain
        known = self._by_domain.get(domain, set())
        if self._solves < 1:
            raise SolveError("the crawl has used up CAPTCHA_BYPASS_MAX_SOLVES", "budget")
        if host not in known and len(known) >= self._hosts:
            raise SolveError(
                f"{self._hosts} hosts of {domain} were solved already, which is"
                " CAPTCHA_BYPASS_MAX_HOSTS_PER_DOMAIN",
                "budget",
            )
        self._solves -= 1
        self._by_domain.setdefault(domain, set()).add(host)
