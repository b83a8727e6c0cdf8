"""Weekly hours on a store's wall clock → intervals of epoch milliseconds.

One rule for the two odd days of a zone: an instant belongs to a window when the clock on the wall shows a time of
the window at that instant. So hours that a spring night skips are skipped, and hours that an autumn night repeats
count both times.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from offers.campaign import DAY_MS, WEEKDAYS, Window
from offers.errors import InvalidHours
from offers.intervals import Interval, intersection, merged

# No zone changes its offset twice within a step, so a bisection between two steps finds each change.
STEP_MS = 6 * 3_600_000
MINUTE_MS = 60_000
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall clocks are naive on purpose
Span = tuple[int, int, int]


def zone_of(name: str) -> ZoneInfo:
    """The IANA zone *name*; raises `InvalidHours` for a name the tz database does not know."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidHours(f"{name!r} is not an IANA time zone, such as Europe/Helsinki") from error


def offset_ms(zone: ZoneInfo, at_ms: int) -> int:
    """Wall clock minus UTC at an instant, in milliseconds."""
    offset = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(milliseconds=1)


def spans(zone: ZoneInfo, from_ms: int, until_ms: int) -> list[Span]:
    """[(start_ms, end_ms, offset_ms)]: the horizon cut wherever the zone's offset changes (to the second)."""
    out: list[Span] = []
    start, offset = from_ms, offset_ms(zone, from_ms)
    for step in (*range(from_ms + STEP_MS, until_ms, STEP_MS), until_ms):
        then = offset_ms(zone, step)
        if then != offset:
            change = _change_ms(zone, step - STEP_MS, step)
            out.append((start, change, offset))
            start, offset = change, then
    out.append((start, until_ms, offset))
    return [span for span in out if span[0] < span[1]]


def _change_ms(zone: ZoneInfo, before_ms: int, after_ms: int) -> int:
    """First second with the later offset, between two instants whose offsets differ."""
    low, high = before_ms // 1000, -(-after_ms // 1000)
    late = offset_ms(zone, high * 1000)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_ms(zone, middle * 1000) == late:
            high = middle
        else:
            low = middle
    return high * 1000


def to_instants(wall: Sequence[Interval], cut: Sequence[Span]) -> list[Interval]:
    """Merged intervals of wall milliseconds → merged intervals of epoch milliseconds, by `spans` of the zone."""
    out: list[Interval] = []
    for start, end, offset in cut:
        here = intersection(wall, [(start + offset, end + offset)])
        out += [(a - offset, b - offset) for a, b in here]
    return merged(out)


def wall_ms(local: datetime) -> int:
    """A naive wall time as milliseconds since 1970-01-01 00:00 on the same wall."""
    return (local - EPOCH) // timedelta(milliseconds=1)


def weekly(windows: Sequence[Window], zone: ZoneInfo, from_ms: int, until_ms: int) -> list[Interval]:
    """When the windows hold within the horizon, merged; no windows hold always."""
    if not windows:
        return merged([(from_ms, until_ms)])
    cut = spans(zone, from_ms, until_ms)
    first = (cut[0][0] + cut[0][2]) // DAY_MS - 1 if cut else 0
    last = (cut[-1][1] + cut[-1][2]) // DAY_MS if cut else -1
    wall = [_on(day, window) for day in range(first, last + 1) for window in windows if _holds(day, window)]
    return to_instants(merged(wall), cut)


def _holds(day: int, window: Window) -> bool:
    # Day 0, 1970-01-01, was a Thursday.
    return WEEKDAYS[(day + 3) % 7] in window.days


def _on(day: int, window: Window) -> Interval:
    start, end = clock_ms(window.start), clock_ms(window.end)
    return day * DAY_MS + start, day * DAY_MS + end + (DAY_MS if end <= start else 0)


def clock_ms(text: str) -> int:
    """'HH:MM' as milliseconds after midnight; '24:00' is the end of the day."""
    hours, minutes = text.split(":")
    return (int(hours) * 60 + int(minutes)) * MINUTE_MS
