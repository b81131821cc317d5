"""Politeness: when a host may be asked again."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.scheduling.politeness import FIRST_BACK_OFF, LONGEST_BACK_OFF, HostClock

HOUR = 3600.0
YEAR = 365 * 24 * HOUR


def test_a_new_host_may_be_asked_at_once() -> None:
    assert HostClock(1.0).ready_at <= 0.0


@pytest.mark.parametrize(
    ("delay", "crawl_delay", "effective"),
    [(1.0, None, 1.0), (1.0, 5.0, 5.0), (5.0, 1.0, 5.0), (0.0, 0.0, 0.0), (0.0, None, 0.0)],
)
def test_the_longer_delay_wins(delay: float, crawl_delay: float | None, effective: float) -> None:
    clock = HostClock(delay, crawl_delay)
    assert clock.effective_delay == effective
    clock.asked(100.0)
    assert clock.ready_at == 100.0 + effective


def test_the_delay_counts_from_sending_not_from_the_outcome() -> None:
    clock = HostClock(5.0)
    clock.asked(100.0)  # when the request was given to the fetching process, which sent it later
    clock.fetched(102.0, None, 103.0)
    assert (clock.ready_at, clock.granted) == (107.0, 5.0)
    clock.fetched(0.0, None, 200.0)
    assert clock.ready_at == 107.0, "nothing was sent"


def test_the_shortest_rest_outlasts_a_restart() -> None:
    clock = HostClock()
    clock.restore(1000.5, 1000.0, 10.0, 0.5)
    assert (clock.ready_at, clock.granted, clock.back_off) == (10.5, 0.5, 0.0)


def test_a_retry_after_is_kept_to_whatever_is_asked_in_between() -> None:
    clock = HostClock(1.0)
    clock.asked(100.0)
    clock.retry_after(60.0, 100.0)
    clock.asked(101.0)
    clock.retry_after(5.0, 102.0)
    assert clock.ready_at == 160.0
    assert clock.granted == 60.0


def test_backing_off_doubles_and_goes_away_again() -> None:
    clock = HostClock(1.0)
    clock.backed_off(100.0)
    assert clock.back_off == FIRST_BACK_OFF
    assert clock.ready_at == 100.0 + 1.0 + FIRST_BACK_OFF
    clock.backed_off(110.0)
    clock.backed_off(120.0)
    assert clock.back_off == 4 * FIRST_BACK_OFF
    clock.asked(200.0)
    assert clock.ready_at == 200.0 + 1.0 + 4 * FIRST_BACK_OFF
    for _ in range(4):
        clock.answered()
    assert clock.back_off == 0.0
    clock.asked(300.0)
    assert clock.ready_at == 301.0


def test_answers_to_requests_of_one_round_back_off_once() -> None:
    clock = HostClock()
    for number in range(8):
        clock.fetched(100.0 + number / 10, 0.0, 102.0 + number / 10)
    assert clock.back_off == FIRST_BACK_OFF
    assert clock.ready_at == pytest.approx(102.7 + FIRST_BACK_OFF)
    clock.fetched(100.9, None, 103.0)
    assert clock.back_off == FIRST_BACK_OFF, "it was sent before the host could be left alone"
    clock.fetched(104.0, 0.0, 105.0)
    assert clock.back_off == 2 * FIRST_BACK_OFF
    clock.fetched(107.0, None, 108.0)
    assert clock.back_off == FIRST_BACK_OFF


def test_backing_off_has_an_end() -> None:
    clock = HostClock()
    for _ in range(2_000):
        clock.backed_off(0.0)
    assert clock.back_off == LONGEST_BACK_OFF
    for _ in range(20):
        clock.answered()
    assert clock.back_off == 0.0


def stored_and_restored(wait: float, slept: float, jumped: float = 0.0) -> float:
    """Return the rest of ``wait`` after a restart with a jump of the wall clock."""
    before = HostClock(1.0)
    before.retry_after(wait, 50.0)
    at_wall = before.stored(50.0, 1_000_000.0)
    after = HostClock(1.0)
    after.restore(at_wall, 1_000_000.0 + slept + jumped, 7.0, before.granted)
    return max(0.0, after.ready_at - 7.0)


def test_the_clock_of_a_host_survives_a_restart() -> None:
    assert stored_and_restored(60.0, slept=20.0) == pytest.approx(40.0)
    assert stored_and_restored(60.0, slept=90.0) == 0.0


def test_a_jump_of_the_wall_clock_blocks_no_host_for_longer_than_was_granted() -> None:
    assert stored_and_restored(60.0, slept=20.0, jumped=-HOUR) == 60.0
    assert stored_and_restored(0.5, slept=0.1, jumped=-YEAR) == 1.0
    assert stored_and_restored(60.0, slept=20.0, jumped=YEAR) == 0.0


def test_a_restored_clock_still_knows_what_was_granted() -> None:
    clock = HostClock(1.0)
    clock.restore(1_060.0, 1_000.0, 5.0, 120.0)
    assert clock.ready_at == 65.0
    assert clock.granted == 60.0


@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(min_value=0, max_value=1e10),
    st.floats(min_value=0, max_value=1e6),
    st.floats(min_value=0, max_value=1e5),
)
def test_no_stored_clock_blocks_a_host(
    next_at_wall: float, wall_now: float, now: float, longest: float
) -> None:
    clock = HostClock(1.0)
    clock.restore(next_at_wall, wall_now, now, longest)
    assert math.isfinite(clock.ready_at)
    assert clock.ready_at <= now + max(longest, 1.0)
