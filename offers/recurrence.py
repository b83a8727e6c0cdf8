"""RFC 5545 recurrences on a wall clock, by the library dateutil; the only file that imports it.

A rule is followed no farther than it is asked for: rules that never come true would be looked for until the year 9999.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice

from dateutil.rrule import rrule, rrulestr

from offers.campaign import Recurrence
from offers.errors import InvalidHours
from offers.intervals import Interval, merged
from offers.schedule import EPOCH, wall_ms

MOST_A_DAY = 24
MOST_INTERVAL = 366
MOST_COUNT = 10_000
_PARTS = frozenset(
    ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYSETPOS", "BYHOUR", "BYMINUTE")
)
_LONGEST_MONTH = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def check(one: Recurrence) -> None:
    """Raise `InvalidHours` with a sentence unless the rule can be followed."""
    _rule(one)


def wall_intervals(recurrences: Sequence[Recurrence], first_ms: int, last_ms: int) -> list[Interval]:
    """[(start, end)] in wall milliseconds, merged: what the recurrences cover between two readings of the clock."""
    return merged([span for one in recurrences for span in _spans(one, first_ms, last_ms)])


def _spans(one: Recurrence, first_ms: int, last_ms: int) -> list[Interval]:
    rule, most = _rule(one)
    end = EPOCH + timedelta(milliseconds=last_ms)
    own: datetime | None = rule._until  # it has no reader
    until = min(own, end) if own is not None else end
    lasts_ms = one.duration_s * 1000
    starts = (wall_ms(at) for at in islice(rule.replace(until=until), most))
    return [(at, at + lasts_ms) for at in starts if at + lasts_ms > first_ms]


def _rule(one: Recurrence) -> tuple[rrule, int | None]:
    """(the rule without its COUNT, the COUNT)."""
    text = one.rrule.strip().upper().removeprefix("RRULE:")
    parts = _parts(text)
    _require_bounded(parts)
    _require_possible(parts)
    try:
        start = datetime.fromisoformat(one.start)
        rule = rrulestr(text.replace("Z", ""), dtstart=start)
        count = int(parts["COUNT"]) if "COUNT" in parts else None
        bare: rrule = rule.replace(count=None)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InvalidHours(f"{one.rrule[:100]!r} from {one.start} is not a recurrence of RFC 5545") from error
    return bare, count


def _parts(text: str) -> dict[str, str]:
    pairs = [part.partition("=")[::2] for part in text.split(";")]
    parts = dict(pairs)
    if unknown := sorted(set(parts) - _PARTS):
        raise InvalidHours(f"a recurrence does not know {unknown[0][:40]!r}; it knows {', '.join(sorted(_PARTS))}")
    if len(parts) < len(pairs) or {"COUNT", "UNTIL"} <= set(parts):
        raise InvalidHours("a recurrence says each thing once, and either COUNT or UNTIL")
    return parts


def _require_bounded(parts: dict[str, str]) -> None:
    if parts.get("FREQ") not in ("YEARLY", "MONTHLY", "WEEKLY", "DAILY"):
        raise InvalidHours("a recurrence has FREQ=YEARLY, MONTHLY, WEEKLY or DAILY; hours go into BYHOUR")
    for name, most in (("INTERVAL", MOST_INTERVAL), ("COUNT", MOST_COUNT)):
        value = parts.get(name, "1")
        if not (value.isascii() and value.isdigit() and len(value) <= 6 and 1 <= int(value) <= most):
            raise InvalidHours(f"{name} is a whole number from 1 to {most}")
    times = len(parts.get("BYHOUR", "0").split(",")) * len(parts.get("BYMINUTE", "0").split(","))
    if times > MOST_A_DAY:
        raise InvalidHours(f"a recurrence begins at most {MOST_A_DAY} times a day")


def _require_possible(parts: dict[str, str]) -> None:
    """Rules that never come true are refused; dateutil would look for their first day until the year 9999."""
    freq, often = parts["FREQ"], parts.get("INTERVAL", "1") == "1"
    days = parts.get("BYDAY", "").split(",") if "BYDAY" in parts else []
    placed = [day for day in days if len(day) > 2]
    month_days = _numbers(parts, "BYMONTHDAY", 31)
    months = _numbers(parts, "BYMONTH", 12)
    positions = _numbers(parts, "BYSETPOS", 366)
    if freq in ("DAILY", "WEEKLY") and (month_days or positions or placed):
        raise InvalidHours(f"{freq} takes BYDAY (without numbers), BYMONTH, BYHOUR and BYMINUTE")
    if not often and ((freq == "DAILY" and (days or months)) or (freq in ("WEEKLY", "MONTHLY") and months)):
        raise InvalidHours(f"{freq} with an INTERVAL takes no BYMONTH, and DAILY no BYDAY: it might never come true")
    if placed and (month_days or any(abs(int(day[:-2] or 0)) > 5 for day in placed if _is_number(day[:-2]))):
        raise InvalidHours("a numbered BYDAY goes from -5 to 5, and not with BYMONTHDAY")
    if positions and (not days or placed or month_days or max(map(abs, positions)) > 4 * len(days)):
        raise InvalidHours("BYSETPOS picks among the days of BYDAY, of which there are four each in every month")
    if month_days and months and min(map(abs, month_days)) > max(_LONGEST_MONTH[abs(month)] for month in months):
        raise InvalidHours("none of its months has such a day")


def _numbers(parts: dict[str, str], name: str, most: int) -> list[int]:
    if name not in parts:
        return []
    words = parts[name].split(",")
    if not all(_is_number(word) and 1 <= abs(int(word)) <= most for word in words):
        raise InvalidHours(f"{name} holds whole numbers up to {most}")
    return [int(word) for word in words]


def _is_number(word: str) -> bool:
    digits = word.lstrip("+-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 3 and len(word) <= len(digits) + 1
