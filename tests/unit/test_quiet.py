"""Quiet hours and hours of delivery, through the days on which the clocks jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offers.quiet import is_quiet, next_at

HELSINKI = "Europe/Helsinki"


def ms(text: str, zone: str = HELSINKI, fold: int = 0) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


@pytest.mark.parametrize(
    ("clock", "quiet"),
    [("21:59", False), ("22:00", True), ("23:59", True), ("00:00", True), ("06:59", True), ("07:00", False)],
)
def test_the_night_runs_over_midnight(clock: str, quiet: bool) -> None:
    assert is_quiet(HELSINKI, 22 * 60, 7 * 60, ms(f"2026-06-01T{clock}")) is quiet
    assert is_quiet(HELSINKI, None, None, ms(f"2026-06-01T{clock}")) is False


def test_a_nap_does_not() -> None:
    assert is_quiet(HELSINKI, 13 * 60, 15 * 60, ms("2026-06-01T14:00"))
    assert not is_quiet(HELSINKI, 13 * 60, 15 * 60, ms("2026-06-01T16:00"))


def test_an_unknown_zone_holds_back() -> None:
    assert is_quiet(None, 22 * 60, 7 * 60, ms("2026-06-01T12:00"))


def test_the_hours_follow_the_wall_clock_when_it_jumps() -> None:
    """Helsinki, 2026-03-29: 03:00 becomes 04:00; 2026-10-25: 04:00 becomes 03:00."""
    for day in ("2026-03-29", "2026-10-25"):
        assert is_quiet(HELSINKI, 22 * 60, 7 * 60, ms(f"{day}T06:59"))
        assert not is_quiet(HELSINKI, 22 * 60, 7 * 60, ms(f"{day}T07:00"))
    for fold in (0, 1):
        assert is_quiet(HELSINKI, 3 * 60, 4 * 60, ms("2026-10-25T03:30", fold=fold)), "both times it is half past three"


def test_the_next_hour_is_today_or_tomorrow() -> None:
    assert next_at(HELSINKI, 600, ms("2026-06-01T09:59")) == ms("2026-06-01T10:00")
    assert next_at(HELSINKI, 600, ms("2026-06-01T10:00")) == ms("2026-06-01T10:00")
    assert next_at(HELSINKI, 600, ms("2026-06-01T10:00") + 1) == ms("2026-06-02T10:00")
    assert next_at("Pacific/Kiritimati", 600, ms("2026-06-01T09:00", "Pacific/Kiritimati")) == ms(
        "2026-06-01T10:00", "Pacific/Kiritimati"
    )


def test_an_hour_that_the_clock_leaps_over_is_met_where_it_lands() -> None:
    assert next_at(HELSINKI, 3 * 60 + 30, ms("2026-03-29T01:00")) == ms("2026-03-29T04:00")
    assert next_at("Australia/Lord_Howe", 2 * 60 + 15, ms("2026-10-04T01:00", "Australia/Lord_Howe")) == ms(
        "2026-10-04T02:30", "Australia/Lord_Howe"
    ), "half an hour is leapt there"


def test_an_hour_that_comes_twice_is_met_the_first_time() -> None:
    assert next_at(HELSINKI, 3 * 60 + 30, ms("2026-10-25T01:00")) == ms("2026-10-25T03:30", fold=0)


def test_a_day_that_a_zone_skipped() -> None:
    """Samoa had no 30 December 2011."""
    at_ms = next_at("Pacific/Apia", 600, ms("2011-12-29T10:01", "Pacific/Apia"))
    assert at_ms == ms("2011-12-31T00:00", "Pacific/Apia"), "the first minute after the leap"


ZONES = [
    "Europe/Helsinki",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "UTC",
    "Africa/Casablanca",
]


@given(st.sampled_from(ZONES), st.integers(0, 1439), st.integers(1_577_836_800, 1_893_456_000))
def test_the_next_hour_is_within_a_day_and_a_leap_and_reads_right(zone: str, minute: int, at_s: int) -> None:
    from_ms = at_s * 1000
    found_ms = next_at(zone, minute, from_ms)
    assert from_ms <= found_ms <= from_ms + 26 * 3_600_000
    wall = datetime.fromtimestamp(found_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    reads = wall.hour * 60 + wall.minute
    if reads != minute:
        before = (wall.astimezone(UTC) - timedelta(minutes=1)).astimezone(ZoneInfo(zone))
        assert before.hour * 60 + before.minute < minute < reads, "the clock leapt over it"
