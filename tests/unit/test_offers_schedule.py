"""Weekly hours on the two odd days of a zone, by hand."""

from __future__ import annotations

import pytest

from offers.campaign import Window
from offers.errors import InvalidHours
from offers.schedule import clock_ms, offset_ms, spans, weekly, zone_of
from tests.reference.offers_world import HOUR_MS, ms, utc

HELSINKI = zone_of("Europe/Helsinki")
EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def shown(start: str, end: str, day: str) -> list[str]:
    """The intervals of an every-day window on one UTC day, as text."""
    window = Window(days=EVERY_DAY, start=start, end=end)  # type: ignore[arg-type] # literals from a list
    from_ms = ms(f"{day}T00:00:00Z") - 3 * HOUR_MS
    found = weekly([window], HELSINKI, from_ms, from_ms + 24 * HOUR_MS)
    return [f"{utc(a):%d %H:%M} {utc(b):%d %H:%M}" for a, b in found]


def test_an_ordinary_day_in_winter_is_two_hours_behind() -> None:
    assert shown("09:00", "17:00", "2026-01-20") == ["20 07:00 20 15:00"]


def test_hours_that_the_spring_night_skips_are_skipped() -> None:
    # 29 March 2026: 03:00 becomes 04:00 at 01:00 UTC.
    assert shown("02:30", "03:30", "2026-03-29") == ["29 00:30 29 01:00"]
    assert shown("03:00", "04:00", "2026-03-29") == []
    assert shown("03:30", "05:00", "2026-03-29") == ["29 01:00 29 02:00"]


def test_hours_that_the_autumn_night_repeats_count_both_times() -> None:
    # 25 October 2026: 04:00 becomes 03:00 at 01:00 UTC, so 03:00..04:00 happens at 00:00..01:00 and at 01:00..02:00.
    assert shown("03:15", "03:45", "2026-10-25") == ["25 00:15 25 00:45", "25 01:15 25 01:45"]
    assert shown("02:00", "04:00", "2026-10-25") == ["24 23:00 25 02:00"]


def test_a_window_may_pass_midnight_and_belongs_to_the_day_it_starts() -> None:
    friday_night = [Window(days=["fri"], start="22:00", end="02:00")]
    found = weekly(friday_night, HELSINKI, ms("2026-11-19T00:00:00Z"), ms("2026-11-23T00:00:00Z"))
    assert found == [(ms("2026-11-20T20:00:00Z"), ms("2026-11-21T00:00:00Z"))]


def test_a_window_that_began_before_the_horizon_is_seen() -> None:
    sunday_night = [Window(days=["sun"], start="23:00", end="04:00")]
    from_ms = ms("2026-11-22T23:30:00Z")  # Monday 01:30 in Helsinki
    assert weekly(sunday_night, HELSINKI, from_ms, from_ms + 12 * HOUR_MS) == [(from_ms, ms("2026-11-23T02:00:00Z"))]


def test_no_windows_run_always_and_an_empty_horizon_never() -> None:
    assert weekly([], HELSINKI, 5, 9) == [(5, 9)]
    assert weekly([Window(days=["mon"], start="00:00", end="24:00")], HELSINKI, 5, 5) == []


def test_a_whole_day_ends_at_24_00() -> None:
    assert clock_ms("24:00") == 24 * HOUR_MS
    assert shown("00:00", "24:00", "2026-01-20") == ["19 21:00 20 21:00"]


def test_spans_cut_where_the_offset_changes() -> None:
    change = ms("2026-03-29T01:00:00Z")
    cut = spans(HELSINKI, change - 50 * HOUR_MS, change + 50 * HOUR_MS)
    assert cut == [
        (change - 50 * HOUR_MS, change, 2 * HOUR_MS),
        (change, change + 50 * HOUR_MS, 3 * HOUR_MS),
    ]
    assert offset_ms(zone_of("Asia/Kolkata"), change) == 5.5 * HOUR_MS


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "../etc/passwd", "Europe", "\x00"])
def test_a_zone_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(InvalidHours, match="IANA"):
        zone_of(name)
