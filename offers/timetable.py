"""Rows of opening and weekly hours over one horizon, each distinct one computed once.

Five thousand stores share a few dozen specs and a handful of zones; asking the library for each store would be most
of a compile.
"""

from __future__ import annotations

from offers.campaign import Window
from offers.catalogue import StoreRow
from offers.errors import InvalidHours
from offers.hours import open_intervals
from offers.intervals import Interval, IntervalTable
from offers.schedule import weekly, zone_of
from offers.snapshot import ALWAYS, UNKNOWN

WeekKey = tuple[tuple[tuple[str, ...], str, str], ...]


def week_key(windows: list[Window]) -> WeekKey:
    """Equal for equal windows in any order."""
    return tuple(sorted((tuple(window.days), window.start, window.end) for window in windows))


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

    def schedule(self, windows: list[Window], key: WeekKey, zone: str) -> int:
        """The row of weekly *windows* (whose `week_key` is *key*) in *zone*; ALWAYS for no windows."""
        if not windows:
            return ALWAYS
        row = self._weeks_row.get((key, zone))
        if row is None:
            row = self._weeks_row[key, zone] = len(self._weeks)
            self._weeks.append(self._week(windows, zone))
        return row

    def _week(self, windows: list[Window], zone: str) -> list[Interval]:
        try:
            return weekly(windows, zone_of(zone), self.from_ms, self.until_ms)
        except InvalidHours:
            return []  # a store whose clock cannot be read is never within hours

    def hours_table(self) -> IntervalTable:
        """All opening hours asked for so far."""
        return IntervalTable.of(self._hours)

    def schedules_table(self) -> IntervalTable:
        """All weekly hours asked for so far."""
        return IntervalTable.of(self._weeks)
