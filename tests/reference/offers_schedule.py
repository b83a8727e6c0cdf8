"""The slow twin of offers.schedule: ask the clock on the wall at every single minute."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from offers.campaign import WEEKDAYS, Window


def runs_at(windows: Sequence[Window], zone: ZoneInfo, at_ms: int) -> bool:
    """Whether any window holds at an instant; an end at or before the start is on the next day."""
    if not windows:
        return True
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    clock = f"{local.hour:02}:{local.minute:02}"
    today, yesterday = WEEKDAYS[local.weekday()], WEEKDAYS[(local.weekday() + 6) % 7]
    for window in windows:
        if window.start < window.end:
            if today in window.days and window.start <= clock < window.end:
                return True
        elif (today in window.days and clock >= window.start) or (yesterday in window.days and clock < window.end):
            return True
    return False
