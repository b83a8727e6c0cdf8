"""When the demo opens: always on a Saturday at eleven, when the town is out shopping."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from engine.demo.city import ZONE

SATURDAY, HOUR = 5, 11


def opening_ms(now_ms: int) -> int:
    """Epoch milliseconds of the latest Saturday 11:00 in Helsinki that is not after *now_ms*.

    The city's map is of April 2019, but opening hours ask only for the weekday and the hour (and public
    holidays), so the demo stays near the present: certificates, tokens and other people's clocks remain
    believable.
    """
    now = datetime.fromtimestamp(now_ms / 1_000, UTC).astimezone(ZoneInfo(ZONE))
    day = now.date() - timedelta(days=(now.weekday() - SATURDAY) % 7)
    opening = datetime(day.year, day.month, day.day, HOUR, tzinfo=ZoneInfo(ZONE))
    if opening > now:
        day -= timedelta(days=7)
        opening = datetime(day.year, day.month, day.day, HOUR, tzinfo=ZoneInfo(ZONE))
    return int(opening.timestamp()) * 1_000


def opening_offset_ms(now_ms: int) -> int:
    """What to add to wall time so that it is opening time now: zero or negative, less than eight days."""
    return opening_ms(now_ms) - now_ms
