"""Slow obvious twin of presence: dictionaries, one rule after the other, no index."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from geo.compiling import Fence
from geo.fence import Circle
from geo.polygon import Polygon
from geo.records import RULES, Kind, Reason
from tests.reference.geo_polygons import edge_m, radius_m

Event = tuple[int, int, bool, int, int, int, int, int, int]
"""(kind, reason, initial, ping, row, fence, since_ms, at_ms, dwell_s), in the order of TRANSITION."""


@dataclass(frozen=True)
class Ping:
    row: int
    lat: float
    lng: float
    accuracy_m: float
    at_ms: int


@dataclass
class Stay:
    since_ms: int
    last_ms: int
    dwelt_s: int = 0


@dataclass
class Twin:
    """`stays` is keyed by (row, stable fence id)."""

    circles: Sequence[Fence]
    watermark_ms: dict[int, int] = field(default_factory=dict)
    stays: dict[tuple[int, int], Stay] = field(default_factory=dict)
    fixes: dict[int, Ping] = field(default_factory=dict)
    unmet_before_ms: dict[int, int] = field(default_factory=dict)
    """Fence id → stays confirmed last before this have not met what began there."""
    counts: Counter[str] = field(default_factory=Counter)

    def _ordered(self) -> list[tuple[int, Fence]]:
        return list(enumerate(sorted(self.circles, key=lambda circle: circle.fence)))

    def ping(self, number: int, ping: Ping) -> list[Event]:
        """Exits, dwells, enters of one ping."""
        before_ms = self.watermark_ms.get(ping.row)
        if before_ms is not None and ping.at_ms <= before_ms:
            self.counts["duplicate" if ping.at_ms == before_ms else "late"] += 1
            return []
        self.counts["accepted"] += 1
        self.watermark_ms[ping.row] = ping.at_ms
        self.fixes[ping.row] = ping
        exits = self._exits(number, ping)
        dwells = self._dwells(number, ping.at_ms, ping.row)
        return exits + dwells + self._enters(number, ping, before_ms is None)

    def _exits(self, number: int, ping: Ping) -> list[Event]:
        out = []
        accuracy_m = ping.accuracy_m if ping.accuracy_m > 0 else 50.0
        for position, circle in self._ordered():
            stay = self.stays.get((ping.row, circle.fence))
            if stay is None:
                continue
            edge, rim = edge_m(circle, ping.lat, ping.lng), max(0.1 * radius_m(circle), 20.0)
            if ping.at_ms - stay.last_ms > RULES.silent_ms:
                out.append(self._exit(Reason.TIMEOUT, number, (ping.row, position, circle), stay.last_ms))
            elif edge > max(accuracy_m + 20.0, rim):
                out.append(self._exit(Reason.LEFT, number, (ping.row, position, circle), ping.at_ms))
            elif edge <= rim:
                if stay.last_ms < self.unmet_before_ms.get(circle.fence, 0):
                    out.append(self._start(number, (ping.row, position, circle)))
                stay.last_ms = ping.at_ms
        return out

    def _exit(self, reason: Reason, number: int, where: tuple[int, int, Fence], at_ms: int) -> Event:
        row, position, circle = where
        since_ms = self.stays.pop((row, circle.fence)).since_ms
        return (Kind.EXIT, reason, False, number, row, position, since_ms, at_ms, 0)

    def _start(self, number: int, where: tuple[int, int, Fence]) -> Event:
        row, position, circle = where
        stay = self.stays[row, circle.fence]
        return (Kind.START, 0, False, number, row, position, stay.since_ms, stay.last_ms, stay.dwelt_s)

    def _dwells(self, number: int, now_ms: int, row: int) -> list[Event]:
        out: list[Event] = []
        for position, circle in self._ordered():
            stay = self.stays.get((row, circle.fence))
            if stay is None or now_ms - stay.last_ms > RULES.grace_ms:
                continue
            for dwell_s in sorted(set(circle.dwells_s)):
                due_ms = stay.since_ms + dwell_s * 1000
                if dwell_s > stay.dwelt_s and due_ms <= now_ms:
                    stay.dwelt_s = dwell_s
                    out.append((Kind.DWELL, 0, False, number, row, position, stay.since_ms, due_ms, dwell_s))
        return out

    def _enters(self, number: int, ping: Ping, initial: bool) -> list[Event]:
        out: list[Event] = []
        for position, circle in self._ordered():
            inside = edge_m(circle, ping.lat, ping.lng) <= 0.0
            if not inside or (ping.row, circle.fence) in self.stays:
                continue
            if ping.accuracy_m > 50.0:
                self.counts["uncertain"] += 1
                continue
            self.stays[(ping.row, circle.fence)] = Stay(ping.at_ms, ping.at_ms)
            out.append((Kind.ENTER, 0, initial, number, ping.row, position, ping.at_ms, ping.at_ms, 0))
        return out

    def tick(self, now_ms: int) -> list[Event]:
        """By (row, fence): dwells, then the timeout."""
        out: list[Event] = []
        for row in sorted({row for row, _ in self.stays}):
            due = self._dwells(-1, now_ms, row)
            for position, circle in self._ordered():
                out += [event for event in due if event[5] == position]
                stay = self.stays.get((row, circle.fence))
                if stay is not None and now_ms - stay.last_ms > RULES.silent_ms:
                    out.append(self._exit(Reason.TIMEOUT, -1, (row, position, circle), stay.last_ms))
        return out

    def switch(self, circles: Sequence[Fence], now_ms: int) -> list[Event]:
        """By (row, fence): the exits of visits whose fence is gone."""
        new = {circle.fence: circle for circle in circles}
        out: list[Event] = []
        for row in sorted({row for row, _ in self.stays}):
            for position, circle in self._ordered():
                stay = self.stays.get((row, circle.fence))
                if stay is None:
                    continue
                if circle.fence not in new:
                    at_ms = max(now_ms, stay.last_ms)
                    out.append(self._exit(Reason.FENCE_GONE, -1, (row, position, circle), at_ms))
                elif set(new[circle.fence].dwells_s) != set(circle.dwells_s):
                    stay.dwelt_s = max(stay.dwelt_s, math.floor((stay.last_ms - stay.since_ms) / 1000))
        self.circles = circles
        return out

    def meet(self, fences: set[int], fresh_from_ms: int) -> list[Event]:
        """By (row, fence): whose stay in these fences was confirmed lately."""
        return [
            self._start(-1, (row, position, circle))
            for row in sorted({row for row, _ in self.stays})
            for position, circle in self._ordered()
            if circle.fence in fences
            and (row, circle.fence) in self.stays
            and self.stays[row, circle.fence].last_ms >= fresh_from_ms
        ]

    def arrive(self, fences: set[int], fresh_from_ms: int) -> list[Event]:
        """By (row, fence): whose last fix, a young one, lies in these fences."""
        out: list[Event] = []
        for row, ping in sorted(self.fixes.items()):
            for position, circle in self._ordered():
                accuracy_m = ping.accuracy_m if ping.accuracy_m > 0 else 50.0
                here = circle.fence in fences and edge_m(circle, ping.lat, ping.lng) <= 0.0
                if (
                    here
                    and accuracy_m <= 50.0
                    and ping.at_ms >= fresh_from_ms
                    and (row, circle.fence) not in self.stays
                ):
                    self.stays[row, circle.fence] = Stay(ping.at_ms, ping.at_ms)
                    out.append((Kind.ENTER, 0, False, -1, row, position, ping.at_ms, ping.at_ms, 0))
        return out

    def forget(self, row: int) -> None:
        """Everything about one customer."""
        self.watermark_ms.pop(row, None)
        self.fixes.pop(row, None)
        self.stays = {key: stay for key, stay in self.stays.items() if key[0] != row}


def appeared(old: Sequence[Fence], new: Sequence[Fence]) -> set[int]:
    """Ids of fences that are not there, or look otherwise, in *old*."""
    return {one.fence for one in new} - {one.fence for one in new for other in old if _alike(one, other)}


def _alike(one: Fence, other: Fence) -> bool:
    if isinstance(one, Circle) and isinstance(other, Circle):
        return (one.fence, one.lat, one.lng, one.radius_m) == (other.fence, other.lat, other.lng, other.radius_m)
    return (
        isinstance(one, Polygon) and isinstance(other, Polygon) and (one.fence, one.parts) == (other.fence, other.parts)
    )
