"""Quiet hours and hours of delivery on a person's own wall clock, through the days on which that clock jumps."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_MINUTES = 1440
_zone = lru_cache(1024)(ZoneInfo)
_MINUTE = timedelta(minutes=1)


def is_quiet(zone: str | None, first: int | None, end: int | None, now_ms: int) -> bool:
    """Whether the person's clock reads *first* to *end* (minutes after midnight, *end* not included) at *now_ms*.

    Without hours nothing is quiet; with hours and no known zone everything is, for it may be night there.
    """
    if first is None or end is None:
        return False
    if zone is None:
        return True
    minute = _minute(zone, now_ms)
    return first <= minute < end if first <= end else minute >= first or minute < end


def next_at(zone: str, minute: int, from_ms: int) -> int:
    """The first instant from *from_ms* on at which the clock of *zone* reads *minute* after midnight (epoch ms).

    A minute that the clock leaps over is met where it lands; of one that it reads twice the first counts.
    """
    today = datetime.fromtimestamp(from_ms / 1000, UTC).astimezone(_zone(zone)).date()
    candidates = (_instant(zone, today + timedelta(days=day), minute) for day in (-1, 0, 1, 2))
    return min(at_ms for at_ms in candidates if at_ms >= from_ms)


def _instant(zone: str, day: date, minute: int) -> int:
    wall = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=_zone(zone))
    at = wall.astimezone(UTC)
    if at.astimezone(_zone(zone)).replace(tzinfo=None) != wall.replace(tzinfo=None):
        at = _landing(zone, wall)
    return round(at.timestamp() * 1000)


def _landing(zone: str, wall: datetime) -> datetime:
    """*wall* is never shown on that day: the first minute that is, after it."""
    gone = wall.replace(tzinfo=None)
    at = wall.replace(fold=1).astimezone(UTC)  # by the offset after the leap this lies before it
    while at.astimezone(_zone(zone)).replace(tzinfo=None) < gone:
        at += _MINUTE
    return at


def _minute(zone: str, now_ms: int) -> int:
    wall = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(_zone(zone))
    return wall.hour * 60 + wall.minute
