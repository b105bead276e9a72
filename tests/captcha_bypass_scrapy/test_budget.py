"""How many solves a crawl may cost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captcha_bypass_scrapy.budget import Budget
from captcha_bypass_scrapy.errors import SolveError
from captcha_bypass_scrapy.keys import SiteKey

HOST = "http://a.site.example"


def test_crawl_has_a_budget() -> None:
    budget = Budget(hosts=3, solves=2)
    budget.spend(SiteKey(HOST, None))
    budget.spend(SiteKey(HOST, None))

    with pytest.raises(SolveError, match="CAPTCHA_BYPASS_MAX_SOLVES") as raised:
        budget.spend(SiteKey(HOST, None))

    assert raised.value.kind == "budget"


def test_new_hostname_a_time_uses_up_its_domains_budget_alone() -> None:
    budget = Budget(hosts=3, solves=10)
    for n in range(3):
        budget.spend(SiteKey(f"http://{n}.evil.example", None))

    with pytest.raises(SolveError, match=r"3 hosts of evil\.example.*MAX_HOSTS_PER_DOMAIN"):
        budget.spend(SiteKey("http://3.evil.example", None))
    budget.spend(SiteKey("http://0.evil.example:8080", None))  # known
    budget.spend(SiteKey("http://good.example", None))


def test_refusal_costs_nothing() -> None:
    budget = Budget(hosts=1, solves=2)
    budget.spend(SiteKey("http://0.evil.example", None))
    for n in range(1, 20):
        with pytest.raises(SolveError, match="MAX_HOSTS"):
            budget.spend(SiteKey(f"http://{n}.evil.example", None))

    budget.spend(SiteKey("http://good.example", None))


@settings(max_examples=50)
@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 5), st.integers(1, 20))
def test_no_more_is_ever_spent_than_there_is(numbers: list[int], hosts: int, solves: int) -> None:
    budget, spent = Budget(hosts=hosts, solves=solves), []
    for n in numbers:
        try:
            budget.spend(SiteKey(f"http://{n}.evil.example", None))
        except SolveError:
            continue
        spent.append(n)

    assert len(spent) <= solves
    assert len(set(spent)) <= hosts
