"""What a walking customer's ping costs, `advance` and all, as fences of one density become a thousand times as many."""

from __future__ import annotations

import statistics
import time
from typing import Final

import numpy as np

import geo
from benchmarks.bars import Plan
from benchmarks.geo_ground import uniform
from benchmarks.geo_shapes import M_PER_DEG, Floats
from benchmarks.result import Row, row
from benchmarks.turns import told
from geo.arrays import Records
from geo.fence import Circle
from geo.index import FenceIndex
from geo.presence import Presence
from geo.transitions import PING, advance

ACCURACY_M: Final = 8.5
BEGAN_MS: Final = 1_700_000_000_000


async def bench(plan: Plan) -> list[Row]:
    """Both worlds take turns sweep by sweep; a sweep is one ping of every customer."""
    geo.warm()
    few, many = (World(plan, plan.count(knob)) for knob in ("few", "many"))
    sweeps = max(1, plan.count("pings") // plan.count("customers"))
    walking = _ns(few, many, plan.count("rounds"), sweeps, teleport=False)
    jumping = _ns(few, many, plan.count("rounds"), 1, teleport=True)
    times = [b / a for a, b in zip(*walking, strict=True)]
    said = " and ".join(f"{statistics.median(each):.0f}" for each in walking)
    away = " and ".join(f"{statistics.median(each):.0f}" for each in jumping)
    note = (
        f"{said} ns a ping in batches of {plan.count('batch')} among {len(few)} and {len(many)} fences; "
        f"teleporting anywhere in the world each time {away} ns, "
        f"{statistics.median(jumping[1]) / statistics.median(jumping[0]):.2f} times"
    )
    return [row(plan.bar("walk_1k_1m_fences"), times, note)]


class World:
    """Fences spread evenly, and customers who walk straight on among them and turn back at the rim."""

    def __init__(self, plan: Plan, fences: int) -> None:
        random = np.random.default_rng([plan.seed, fences])
        self.customers, self._batch = plan.count("customers"), plan.count("batch")
        places = uniform(random, fences, self.customers, plan.number("per_km2"))
        middles = zip(places.lat.tolist(), places.lng.tolist(), strict=True)
        circles = [Circle(n, *at, plan.number("radius_m")) for n, at in enumerate(middles)]
        began = time.perf_counter()
        self._index = FenceIndex.build(circles)
        told(f"{fences} circles compiled in {time.perf_counter() - began:.1f} s")
        self._random, self._presence = random, Presence()
        self._at = np.stack([places.point_lat, places.point_lng])
        course = random.uniform(0.0, 2.0 * np.pi, self.customers)
        step_deg = plan.number("walk_m_s") * plan.number("every_s") / M_PER_DEG
        self._step = step_deg * np.stack([np.sin(course), np.cos(course) / np.cos(np.radians(places.point_lat))])
        self._low, self._high = self._at.min(1, keepdims=True), self._at.max(1, keepdims=True)
        self._every_ms, self._now_ms = round(1_000 * plan.number("every_s")), BEGAN_MS

    def __len__(self) -> int:
        return len(self._index)

    def sweep_s(self, teleport: bool) -> float:
        """Seconds that one ping of each customer takes, batch by batch."""
        pings = self._pings(self._jumped() if teleport else self._walked())
        batches = [pings[first : first + self._batch] for first in range(0, len(pings), self._batch)]
        began = time.perf_counter()
        for batch in batches:
            advance(self._presence, self._index, batch)
        return time.perf_counter() - began

    def _walked(self) -> Floats:
        self._at = self._at + self._step
        beyond = (self._at < self._low) | (self._at > self._high)
        self._step = np.where(beyond, -self._step, self._step)
        self._at = np.clip(self._at, self._low, self._high)
        return self._at

    def _jumped(self) -> Floats:
        at: Floats = self._low + (self._high - self._low) * self._random.random((2, self.customers))
        return at

    def _pings(self, at: Floats) -> Records:
        self._now_ms += self._every_ms
        pings = np.zeros(self.customers, PING)
        pings["row"] = np.arange(self.customers)
        pings["lat"], pings["lng"] = at
        pings["accuracy_m"], pings["at_ms"] = ACCURACY_M, self._now_ms
        return pings


def _ns(few: World, many: World, rounds: int, sweeps: int, teleport: bool) -> tuple[list[float], list[float]]:
    """Nanoseconds a ping in each round, of both worlds; a first sweep, in which everybody is new, does not count."""
    spent: tuple[list[float], list[float]] = ([], [])
    for world in (few, many):
        world.sweep_s(teleport)
    for _ in range(rounds):
        each = np.array([[world.sweep_s(teleport) for world in (few, many)] for _ in range(sweeps)])
        for mine, mean_s in zip(spent, each.mean(0).tolist(), strict=True):
            mine.append(1e9 * mean_s / few.customers)
    return spent
