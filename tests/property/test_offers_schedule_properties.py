"""Weekly hours agree with the clock on the wall at every minute, through both odd nights of two zones."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from offers.campaign import WEEKDAYS, Window
from offers.intervals import covers, intersection, merged
from offers.schedule import weekly
from tests.reference.offers_schedule import runs_at
from tests.reference.offers_world import HOUR_MS, ms

MINUTE_MS = 60_000
# The night of each change, in UTC, and some that are none.
NIGHTS = {
    "Europe/Helsinki": ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-07-01T00:00:00Z"],
    "America/New_York": ["2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z", "2026-12-31T23:00:00Z"],
    "Australia/Lord_Howe": ["2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"],  # by half an hour
}

clocks = st.builds(lambda h, m: f"{h:02}:{m:02}", st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 59]))
windows = st.builds(
    Window,
    days=st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=7, unique=True),
    start=clocks,
    end=clocks | st.just("24:00"),
)


@pytest.mark.parametrize(("zone", "night"), [(z, n) for z, nights in NIGHTS.items() for n in nights])
@settings(max_examples=12, deadline=timedelta(seconds=5))
@given(st.lists(windows, max_size=3))
@example([Window(days=list(WEEKDAYS), start="02:30", end="03:30")])
@example([Window(days=list(WEEKDAYS), start="01:15", end="01:45")])
def test_agrees_with_the_wall_clock_at_every_minute(zone: str, night: str, week: list[Window]) -> None:
    from_ms, until_ms = ms(night) - 13 * HOUR_MS, ms(night) + 13 * HOUR_MS
    where = ZoneInfo(zone)
    found = weekly(week, where, from_ms, until_ms)
    starts, ends = [a for a, _ in found], [b for _, b in found]
    wrong = [at for at in range(from_ms, until_ms, MINUTE_MS) if covers(starts, ends, at) != runs_at(week, where, at)]
    assert wrong == []
    assert found == merged(found)
    assert all(from_ms <= a < b <= until_ms for a, b in found)


pairs = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8)


@given(pairs, pairs)
def test_merged_and_intersection_are_those_of_sets(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    def points(intervals: list[tuple[int, int]]) -> set[int]:
        return {x for a, b in intervals for x in range(a, b)}

    assert points(merged(one)) == points(one)
    both = intersection(merged(one), merged(other))
    assert points(both) == points(one) & points(other)
    assert both == merged(both)
    starts, ends = [a for a, _ in both], [b for _, b in both]
    assert {x for x in range(-1, 42) if covers(starts, ends, x)} == points(both)
