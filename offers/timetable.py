"""Rows of opening and weekly hours over one horizon, each distinct one computed once.

Five thousand stores share a few dozen specs and a handful of zones; asking the library for each store would be most
of a compile.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from offers.campaign import Schedule
from offers.catalogue import StoreRow
from offers.errors import InvalidHours
from offers.hours import open_intervals
from offers.intervals import ALWAYS, UNKNOWN, Interval, IntervalTable, merged
from offers.recurrence import wall_intervals
from offers.schedule import spans, to_instants, weekly, zone_of

Part = tuple[str | tuple[str, ...], str, str]
WeekKey = tuple[Part, ...]


def week_key(schedule: Schedule) -> WeekKey:
    """Equal for equal windows and recurrences in any order."""
    windows: list[Part] = sorted((tuple(window.days), window.start, window.end) for window in schedule.weekly)
    again: list[Part] = sorted((one.rrule, one.start, str(one.duration_s)) for one in schedule.recurrences)
    return (*windows, *again)


class Timetable:
    """Hands out row numbers in the order of first asking: ask in a fixed order to get fixed rows."""

    def __init__(self, from_ms: int, until_ms: int) -> None:
        self.from_ms = from_ms
        self.until_ms = until_ms
        self._hours: list[list[Interval]] = []
        self._weeks: list[list[Interval]] = []
        self._hours_row: dict[tuple[str, str, str | None], int] = {}
        self._weeks_row: dict[tuple[WeekKey, str], int] = {}

    def hours(self, store: StoreRow) -> int:
        """The row of the store's opening hours; UNKNOWN when it has none or none that can be read."""
        if store.opening_hours is None:
            return UNKNOWN
        key = store.opening_hours, store.zone, store.country
        if key not in self._hours_row:
            self._hours_row[key] = self._add_hours(*key)
        return self._hours_row[key]

    def _add_hours(self, spec: str, zone: str, country: str | None) -> int:
        try:
            self._hours.append(open_intervals(spec, zone, country, self.from_ms, self.until_ms))
        except InvalidHours:
            return UNKNOWN
        return len(self._hours) - 1

    def schedule(self, schedule: Schedule, key: WeekKey, zone: str) -> int:
        """The row of a *schedule* (whose `week_key` is *key*) in *zone*; ALWAYS for one that says nothing."""
        if not key:
            return ALWAYS
        row = self._weeks_row.get((key, zone))
        if row is None:
            row = self._weeks_row[key, zone] = len(self._weeks)
            self._weeks.append(self._week(schedule, zone))
        return row

    def _week(self, schedule: Schedule, zone: str) -> list[Interval]:
        try:
            clock = zone_of(zone)
            windows = weekly(schedule.weekly, clock, self.from_ms, self.until_ms) if schedule.weekly else []
            return merged([*windows, *self._again(schedule, clock)])
        except InvalidHours:
            return []  # a store whose clock cannot be read is never within hours

    def _again(self, schedule: Schedule, clock: ZoneInfo) -> list[Interval]:
        cut = spans(clock, self.from_ms, self.until_ms)
        if not schedule.recurrences or not cut:
            return []
        # A wall clock may be set back within the horizon: take its earliest and latest reading.
        first, last = min(start + offset for start, _, offset in cut), max(end + offset for _, end, offset in cut)
        return to_instants(wall_intervals(schedule.recurrences, first, last), cut)

    @property
    def opening(self) -> list[list[Interval]]:
        """The rows of `hours_table`."""
        return self._hours

    def hours_table(self) -> IntervalTable:
        """All opening hours asked for so far."""
        return IntervalTable.of(self._hours)

    @property
    def weeks(self) -> list[list[Interval]]:
        """The rows of `schedules_table`."""
        return self._weeks

    def schedules_table(self) -> IntervalTable:
        """All weekly hours asked for so far."""
        return IntervalTable.of(self._weeks)
