"""Slow obvious twin of presence: dictionaries, one rule after the other, no index."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from geo.compiling import Fence
from geo.fence import Circle
from geo.polygon import Polygon
from geo.records import RULES, Kind, Reason, Rules
from tests.reference.geo_ground import haversine_m
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
    """Once `begun`, `weighed_ms` speaks against it, from `turned_ms` on; before, for it."""

    since_ms: int
    last_ms: int
    dwelt_s: int = 0
    begun: bool = True
    weighed_ms: int = 0
    turned_ms: int = 0


@dataclass
class Twin:
    """`stays` is keyed by (row, stable fence id); so are `claims` to one."""

    circles: Sequence[Fence]
    rules: Rules = RULES
    watermark_ms: dict[int, int] = field(default_factory=dict)
    stays: dict[tuple[int, int], Stay] = field(default_factory=dict)
    claims: dict[tuple[int, int], Stay] = field(default_factory=dict)
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
        weight_ms = self._weight_ms(ping)
        self.watermark_ms[ping.row] = ping.at_ms
        self.fixes[ping.row] = ping
        exits = self._exits(number, ping, weight_ms)
        dwells = self._dwells(number, ping.at_ms, ping.row)
        return exits + dwells + self._enters(number, ping, weight_ms, before_ms is None)

    def _weight_ms(self, ping: Ping) -> int:
        """How much time the fix speaks for."""
        before, rules = self.fixes.get(ping.row), self.rules
        if before is None:
            return rules.evidence_ms
        since_ms = ping.at_ms - before.at_ms
        moved_m = haversine_m(before.lat, before.lng, ping.lat, ping.lng)
        if moved_m > rules.speed_m_s * since_ms / 1000 + _known_m(before) + _known_m(ping):
            since_ms = 0
        return min(max(since_ms, rules.least_ms), rules.evidence_ms)

    def _exits(self, number: int, ping: Ping, weight_ms: int) -> list[Event]:
        out = []
        accuracy_m = _known_m(ping)
        for position, circle in self._ordered():
            claim = self.claims.get((ping.row, circle.fence))
            if claim is not None and ping.at_ms - claim.last_ms > self.rules.silent_ms:
                del self.claims[ping.row, circle.fence]
            stay = self.stays.get((ping.row, circle.fence))
            if stay is None:
                continue
            edge, rim = edge_m(circle, ping.lat, ping.lng), max(0.1 * radius_m(circle), 20.0)
            if ping.at_ms - stay.last_ms > RULES.silent_ms:
                out.append(self._exit(Reason.TIMEOUT, number, (ping.row, position, circle), stay.last_ms))
            elif edge > max(accuracy_m + 20.0, rim):
                if not stay.weighed_ms:
                    stay.turned_ms = ping.at_ms
                stay.weighed_ms += weight_ms
                if stay.weighed_ms >= self.rules.evidence_ms:
                    out.append(self._exit(Reason.LEFT, number, (ping.row, position, circle), stay.turned_ms))
                else:
                    self.counts["uncorroborated"] += 1
            elif edge > rim:
                self.counts["accuracy_too_low" if accuracy_m > 50.0 else "on_boundary"] += 1
            else:
                if stay.last_ms < self.unmet_before_ms.get(circle.fence, 0):
                    out.append(self._start(number, (ping.row, position, circle)))
                stay.last_ms, stay.weighed_ms = ping.at_ms, 0
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

    def _enters(self, number: int, ping: Ping, weight_ms: int, initial: bool) -> list[Event]:
        out: list[Event] = []
        for position, circle in self._ordered():
            key = ping.row, circle.fence
            inside = edge_m(circle, ping.lat, ping.lng) <= 0.0
            if key in self.stays:
                continue
            if ping.accuracy_m > 50.0:
                self.counts["accuracy_too_low"] += inside
                continue
            claim = self.claims.pop(key, Stay(ping.at_ms, ping.at_ms, begun=False))
            claim.weighed_ms += weight_ms if inside else -weight_ms
            if inside:
                claim.last_ms = ping.at_ms
            if claim.weighed_ms >= self.rules.evidence_ms and inside:
                self.stays[key] = Stay(claim.since_ms, ping.at_ms)
                out.append((Kind.ENTER, 0, initial, number, ping.row, position, claim.since_ms, ping.at_ms, 0))
            elif claim.weighed_ms > 0:
                self.claims[key] = claim
                self.counts["uncorroborated"] += inside
        return out

    def tick(self, now_ms: int) -> list[Event]:
        """By (row, fence): dwells, then the timeout."""
        out: list[Event] = []
        self.claims = {key: one for key, one in self.claims.items() if now_ms - one.last_ms <= self.rules.silent_ms}
        for row in sorted({row for row, _ in self.stays}):
            due = self._dwells(-1, now_ms, row)
            for position, circle in self._ordered():
                out += [event for event in due if event[5] == position]
                stay = self.stays.get((row, circle.fence))
                if stay is not None and now_ms - stay.last_ms > RULES.silent_ms:
                    out.append(self._exit(Reason.TIMEOUT, -1, (row, position, circle), stay.last_ms))
        return out

    def switch(self, circles: Sequence[Fence], now_ms: int) -> list[Event]:
        """By (row, fence): the exits of visits whose fence is gone, or drawn anew elsewhere."""
        new = {circle.fence: circle for circle in circles}
        redrawn = appeared(self.circles, circles)
        self.claims = {key: one for key, one in self.claims.items() if key[1] in new and key[1] not in redrawn}
        out: list[Event] = []
        for row in sorted({row for row, _ in self.stays}):
            for position, circle in self._ordered():
                stay = self.stays.get((row, circle.fence))
                if stay is None:
                    continue
                if circle.fence not in new:
                    at_ms = max(now_ms, stay.last_ms)
                    out.append(self._exit(Reason.FENCE_GONE, -1, (row, position, circle), at_ms))
                elif circle.fence in redrawn and _outside(new[circle.fence], self.fixes[row]):
                    at_ms = max(now_ms, stay.last_ms)
                    out.append(self._exit(Reason.FENCE_EDITED, -1, (row, position, circle), at_ms))
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
                    and (row, circle.fence) not in self.claims
                ):
                    self.stays[row, circle.fence] = Stay(ping.at_ms, ping.at_ms)
                    out.append((Kind.ENTER, 0, False, -1, row, position, ping.at_ms, ping.at_ms, 0))
        return out

    def forget(self, row: int) -> None:
        """Everything about one customer."""
        self.watermark_ms.pop(row, None)
        self.fixes.pop(row, None)
        self.stays = {key: stay for key, stay in self.stays.items() if key[0] != row}
        self.claims = {key: claim for key, claim in self.claims.items() if key[0] != row}


def _known_m(ping: Ping) -> float:
    """The accuracy, 50 m where the phone does not know it."""
    return ping.accuracy_m if ping.accuracy_m > 0 else 50.0


def _outside(fence: Fence, ping: Ping) -> bool:
    """Whether the fix is decisively outside."""
    edge = edge_m(fence, ping.lat, ping.lng)
    return edge > max(_known_m(ping) + 20.0, 20.0, 0.1 * radius_m(fence))


def appeared(old: Sequence[Fence], new: Sequence[Fence]) -> set[int]:
    """Ids of fences that are not there, or look otherwise, in *old*."""
    return {one.fence for one in new} - {one.fence for one in new for other in old if _alike(one, other)}


def _alike(one: Fence, other: Fence) -> bool:
    if isinstance(one, Circle) and isinstance(other, Circle):
        return (one.fence, one.lat, one.lng, one.radius_m) == (other.fence, other.lat, other.lng, other.radius_m)
    return (
        isinstance(one, Polygon) and isinstance(other, Polygon) and (one.fence, one.parts) == (other.fence, other.parts)
    )
