"""Two instants in one cell, `2026-01-01T08:00+02:00/2026-02-01T22:00+02:00`, as Google's feeds have them (ISO 8601)."""

from __future__ import annotations

from datetime import datetime


class NoInterval(ValueError):
    """A text that is no such pair; the sentence says why."""


def instants_of(text: str) -> tuple[datetime, datetime]:
    """(start, end), both with their offsets; raises `NoInterval`."""
    start, slash, end = text.strip().partition("/")
    if not slash:
        raise NoInterval("write two times with a slash between, such as 2026-01-01T08:00+02:00/2026-02-01T22:00+02:00")
    found = _instant(start), _instant(end)
    if found[0] >= found[1]:
        raise NoInterval("the second time is not behind the first")
    return found


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise NoInterval(f"{text.strip()[:40]!r} is not a time such as 2026-01-01T08:00+02:00") from None
    if at.tzinfo is None:
        raise NoInterval(f"the time {text.strip()[:40]!r} names no offset from UTC, such as +02:00")
    if not 2000 <= at.year < 2200:
        raise NoInterval(f"the year {at.year} is not in 2000..2199")
    return at
