"""Where everybody is: how long `PingIndex.inside` takes by the clock on the wall, and what a customer takes."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

import numpy as np

import geo
from benchmarks.bars import Plan
from benchmarks.result import Row, row
from benchmarks.turns import told
from geo.arrays import Ints
from geo.fence import Circle
from geo.pings import PingIndex
from geo.presence import Presence
from geo.sphere import distance_m

CENTRE: Final = (60.0, 25.0)
SIDE_DEG: Final = 0.36
TOWNS: Final = 200
TOWN_DEG: Final = 0.01
BATCH: Final = 500
K: Final = 10
WALK_DEG: Final = 0.0005
EXACT_M: Final = 1e-6
"""Rows on the rim itself may differ by rounding."""


class Round(NamedTuple):
    """Times of single calls in milliseconds."""

    inside: list[float]
    rows: list[int]
    nearest: list[float]


async def bench(plan: Plan) -> list[Row]:
    """Half the customers live in 200 towns, half all over a square of 40 km; circles lie around customers, so most
    are in towns. Every hundredth circle's answer is checked against everybody.
    """
    geo.warm()
    random = np.random.default_rng(plan.seed)
    customers = plan.count("customers")
    presence = _people(random, customers)
    index = PingIndex(presence)
    grown = _grown(presence, customers)
    if index.nbytes > grown.nbytes:
        grown = index
    rounds = [_asked(plan, random, presence, index) for _ in range(plan.count("rounds"))]
    p99 = [float(np.percentile(one.inside, 99)) for one in rounds]
    every = Round(*([one for each in lists for one in each] for lists in zip(*rounds, strict=True)))
    note = (
        f"{len(every.inside)} circles of {plan.number('radius_m'):g} m, p50 {np.percentile(every.inside, 50):.3f} ms, "
        f"{np.percentile(every.rows, 50):.0f} to {np.percentile(every.rows, 99):.0f} customers in each (p50, p99), "
        f"every hundredth checked against everybody; the {K} nearest p99 {np.percentile(every.nearest, 99):.3f} ms"
    )
    walked_ns = _walk(random, presence, index, customers)
    bytes_each = [one.nbytes / customers for one in (index, grown)]
    kept = (
        f"{bytes_each[0]:.1f} built at once, {bytes_each[1]:.1f} grown customer by customer; presence has the "
        f"positions, {presence.nbytes / customers:.0f} more; {walked_ns:.0f} ns a customer who moved, {BATCH} at a time"
    )
    return [
        row(plan.bar("pings_inside_p99"), p99, note),
        row(plan.bar("pings_bytes"), bytes_each, kept, max(bytes_each)),
    ]


def _people(random: np.random.Generator, customers: int) -> Presence:
    towns = random.uniform(-SIDE_DEG / 2, SIDE_DEG / 2, (TOWNS, 2))
    at = towns[random.integers(0, TOWNS, customers)] + random.normal(0.0, TOWN_DEG, (customers, 2))
    abroad = random.random(customers) < 0.5
    at[abroad] = random.uniform(-SIDE_DEG / 2, SIDE_DEG / 2, (int(abroad.sum()), 2))
    presence = Presence()
    presence.reserve(customers)
    presence.customers["lat"][:customers] = CENTRE[0] + at[:, 0]
    presence.customers["lng"][:customers] = CENTRE[1] + 2.0 * at[:, 1]  # a degree is half as long at 60° north
    presence.customers["at_ms"][:customers] = 1
    return presence


def _grown(presence: Presence, customers: int) -> PingIndex:
    """An index whose customers came by and by, so that it has place for more than there are."""
    newcomers = Presence()
    index = PingIndex(newcomers)
    step = max(1, customers // 100)
    for first in range(0, customers, step):
        rows = np.arange(first, min(first + step, customers), dtype=np.int32)
        newcomers.reserve(int(rows[-1]) + 1)
        newcomers.customers[rows] = presence.customers[rows]
        index.follow(rows)
    return index


def _asked(plan: Plan, random: np.random.Generator, presence: Presence, index: PingIndex) -> Round:
    one = Round([], [], [])
    lat, lng = presence.customers["lat"], presence.customers["lng"]
    for nth, at in enumerate(random.integers(0, plan.count("customers"), plan.count("questions"))):
        circle = Circle(0, float(lat[at]), float(lng[at]), plan.number("radius_m"))
        began = time.perf_counter()
        found = index.inside(circle)
        one.inside.append(1e3 * (time.perf_counter() - began))
        one.rows.append(len(found))
        if nth % 100 == 0:
            _check(presence, circle, found, plan.count("customers"))
        began = time.perf_counter()
        index.nearest(circle.lat, circle.lng, K)
        one.nearest.append(1e3 * (time.perf_counter() - began))
    told(f"p99 of {len(one.inside)} circles: {np.percentile(one.inside, 99):.3f} ms")
    return one


def _walk(random: np.random.Generator, presence: Presence, index: PingIndex, customers: int) -> float:
    """Nanoseconds a customer who moved."""
    batches = [random.integers(0, customers, BATCH).astype(np.int32) for _ in range(200)]
    spent_s = 0.0
    for rows in batches:
        presence.customers["lat"][rows] += random.normal(0.0, WALK_DEG, BATCH)
        began = time.perf_counter()
        index.follow(rows)
        spent_s += time.perf_counter() - began
    return 1e9 * spent_s / (BATCH * len(batches))


def _check(presence: Presence, circle: Circle, found: Ints, customers: int) -> None:
    """Raises RuntimeError when anybody is wrongly in or out."""
    everybody = presence.customers[:customers]
    away_m = distance_m(everybody["lat"], everybody["lng"], circle.lat, circle.lng)
    other = np.setxor1d(np.flatnonzero(away_m <= circle.radius_m), found)
    if (np.abs(away_m[other] - circle.radius_m) > EXACT_M).any():
        raise RuntimeError(f"of {len(found)} customers found {len(other)} are not those within {circle.radius_m:g} m")
