"""The index of last positions: who is inside a circle, the nearest, what a move costs, what a customer takes."""

from __future__ import annotations

import sys
import time

import msgspec
import numpy as np

import geo
from geo.fence import Circle
from geo.pings import PingIndex
from geo.presence import Presence
from geo.sphere import distance_m

CENTRE = (60.0, 25.0)
SIDE_DEG = 0.36
TOWNS = 200
TOWN_DEG = 0.01
BATCH = 500
K = 10
WALK_DEG = 0.0005


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Times of single calls: median and 99th percentile; *inside_rows* likewise."""

    customers: int
    inside_ms: tuple[float, float]
    inside_cpu_ms: tuple[float, float]
    """The same by the thread's clock, which stands while others have the processor."""
    inside_rows: tuple[float, float]
    nearest_ms: tuple[float, float]
    place_ns: float
    """A customer in batches of BATCH, each walking some 50 m."""
    rebuild_s: float
    bytes_a_customer: float
    """Of the index alone; positions are presence's."""


def measure(customers: int = 1_000_000, radius_m: float = 500.0, asked: int = 2_000, seed: int = 20260729) -> Figures:
    """Half the customers live in 200 towns, half all over a square of 40 km; circles lie around customers, so most
    are in towns. Every hundredth circle's answer is checked against everybody.
    """
    random = np.random.default_rng(seed)
    geo.warm()
    presence = _people(random, customers)
    index = PingIndex(presence)
    began = time.perf_counter()
    index.rebuild()
    rebuild_s = time.perf_counter() - began
    lat, lng = presence.customers["lat"], presence.customers["lng"]
    inside_ms, inside_cpu_ms, rows, nearest_ms = [], [], [], []
    for nth, at in enumerate(random.integers(0, customers, asked)):
        circle = Circle(0, float(lat[at]), float(lng[at]), radius_m)
        began, cpu_began = time.perf_counter(), time.thread_time()
        found = index.inside(circle)
        inside_ms.append(1e3 * (time.perf_counter() - began))
        inside_cpu_ms.append(1e3 * (time.thread_time() - cpu_began))
        rows.append(len(found))
        if nth % 100 == 0:
            _check(presence, circle, found, customers)
        began = time.perf_counter()
        index.nearest(circle.lat, circle.lng, K)
        nearest_ms.append(1e3 * (time.perf_counter() - began))
    return Figures(
        customers=customers,
        inside_ms=_both(inside_ms),
        inside_cpu_ms=_both(inside_cpu_ms),
        inside_rows=_both(rows),
        nearest_ms=_both(nearest_ms),
        place_ns=_walk(random, presence, index, customers),
        rebuild_s=rebuild_s,
        bytes_a_customer=index.nbytes / customers,
    )


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


def _check(presence: Presence, circle: Circle, found: np.ndarray, customers: int) -> None:
    everybody = presence.customers[:customers]
    away_m = distance_m(everybody["lat"], everybody["lng"], circle.lat, circle.lng)
    other = np.setxor1d(np.flatnonzero(away_m <= circle.radius_m), found)
    assert (np.abs(away_m[other] - circle.radius_m) < 1e-6).all(), "rows on the rim itself may differ by rounding"


def _both(values: list[float] | list[int]) -> tuple[float, float]:
    return float(np.percentile(values, 50)), float(np.percentile(values, 99))


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(measure())) + b"\n")
