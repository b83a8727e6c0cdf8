"""Leaf cells of positions by `geo.cells.encode`, against h3-py called one by one and h3ronpy called with arrays.

h3ronpy is a peer only: it is not among our dependencies, and without it there is no result.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import time
from collections.abc import Callable
from typing import Any

import h3.api.basic_int as h3
import numpy as np

from benchmarks.bars import Plan
from benchmarks.result import Row, compared
from geo.arrays import Floats
from geo.cells import encode
from geo.leaves import LEAF_RES

Encoder = Callable[[], Any]


async def bench(plan: Plan) -> list[Row]:
    """All three by turns on the same points; each must give the same cells. Raises RuntimeError without h3ronpy."""
    coordinates_to_cells = _h3ronpy()
    lat, lng = _points(plan)
    lats, lngs = lat.tolist(), lng.tolist()  # h3-py is given what it takes, at no cost
    encoders: dict[str, Encoder] = {
        "ours": lambda: encode(lat, lng),
        "h3": lambda: [h3.latlng_to_cell(a, b, LEAF_RES) for a, b in zip(lats, lngs, strict=True)],
        "h3ronpy": lambda: coordinates_to_cells(lat, lng, LEAF_RES),
    }
    cells = {name: np.asarray(encoder(), np.uint64) for name, encoder in encoders.items()}
    if not all(np.array_equal(cells["ours"], others) for others in cells.values()):
        raise RuntimeError("the encoders do not give the same cells")
    rates: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(plan.count("rounds")):
        for name, encoder in encoders.items():
            rates[name].append(len(lat) / _seconds(encoder))
    few = plan.count("few")
    call_us = min(_seconds(lambda: encode(lat[:few], lng[:few])) for _ in range(1_000)) * 1e6
    note = f"{len(lat)} points a call, the same cells; a call of ours with {few} points takes {call_us:.1f} µs at best"
    return [
        compared(plan.bar(f"encode_{peer}"), rates["ours"], rates[peer], importlib.metadata.version(peer), note)
        for peer in ("h3", "h3ronpy")
    ]


def _h3ronpy() -> Callable[[Floats, Floats, int], Any]:
    try:
        found: Callable[[Floats, Floats, int], Any] = importlib.import_module("h3ronpy.vector").coordinates_to_cells
    except ModuleNotFoundError as error:
        raise RuntimeError("to measure against h3ronpy: make peers") from error
    return found


def _points(plan: Plan) -> tuple[Floats, Floats]:
    """Some even on the sphere, the rest in one city; mixed."""
    random = np.random.default_rng(plan.seed)
    count = plan.count("points")
    lat, lng = np.degrees(np.arcsin(random.uniform(-1.0, 1.0, count))), random.uniform(-180.0, 180.0, count)
    city = random.random(count) < plan.number("city_share")
    lat[city] = random.uniform(60.13, 60.27, np.count_nonzero(city))
    lng[city] = random.uniform(24.82, 25.10, np.count_nonzero(city))
    return lat, lng


def _seconds(encoder: Encoder) -> float:
    started = time.perf_counter()
    encoder()
    return time.perf_counter() - started
