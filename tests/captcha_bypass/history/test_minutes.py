"""What the charts show: counts and quantiles of each minute."""

from __future__ import annotations

from captcha_bypass.history.minutes import MINUTES, MOST_SECONDS, Minutes

NOON = 12 * 3600.0


def test_each_owner_has_an_hour_of_minutes_that_ends_with_the_current_one() -> None:
    minutes = Minutes()
    minutes.add(NOON - 60, "a", "completed", 1.0)
    minutes.add(NOON - 60, "a", "timeout", 3.0)
    minutes.add(NOON + 5, "b", "dns_error", None)
    hour = minutes.last(NOON + 59, "a")
    assert [minute["at"] for minute in hour] == [NOON - 60 * n for n in range(MINUTES - 1, -1, -1)]
    assert hour[-2] == {
        "at": NOON - 60,
        "outcomes": {"completed": 1, "timeout": 1},
        "p50": 1.0,
        "p95": 3.0,
    }
    assert hour[-1] == {"at": NOON, "outcomes": {}, "p50": None, "p95": None}
    assert minutes.last(NOON + 59, "b")[-1] == {**hour[-1], "outcomes": {"dns_error": 1}}


def test_quantiles_are_values_that_so_many_tasks_did_not_exceed() -> None:
    minutes = Minutes()
    for seconds in range(100, 0, -1):
        minutes.add(NOON, "", "completed", float(seconds))
    now = minutes.last(NOON, "")[-1]
    assert (now["p50"], now["p95"]) == (50.0, 95.0)


def test_tasks_that_a_client_cancelled_count_but_their_time_says_nothing() -> None:
    minutes = Minutes()
    minutes.add(NOON, "", "cancelled", 99.0)
    now = minutes.last(NOON, "")[-1]
    assert now == {"at": NOON, "outcomes": {"cancelled": 1}, "p50": None, "p95": None}


def test_a_minute_keeps_its_last_durations_and_counts_all() -> None:
    minutes = Minutes()
    for number in range(MOST_SECONDS + 50):
        minutes.add(NOON, "", "completed", 1.0 if number < 50 else 2.0)
    now = minutes.last(NOON, "")[-1]
    assert now["outcomes"] == {"completed": MOST_SECONDS + 50}
    assert now["p50"] == 2.0
    (tally,) = minutes._tallies[int(NOON // 60)].values()
    assert sorted(tally.seconds) == [2.0] * MOST_SECONDS


def test_minutes_of_more_than_an_hour_ago_are_forgotten() -> None:
    minutes = Minutes()
    for number in range(3 * MINUTES):
        minutes.add(NOON + 60 * number, "", "completed", 1.0)
    assert len(minutes._tallies) == MINUTES
