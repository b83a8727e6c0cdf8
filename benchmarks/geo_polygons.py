"""What a point costs among polygons of 10,000 vertices, against the same among polygons of 10."""

from __future__ import annotations

import statistics
import time
from typing import NamedTuple

import numpy as np

import geo
from benchmarks.bars import Plan
from benchmarks.geo_ground import Places, uniform
from benchmarks.geo_outlines import OUTLINES, placed
from benchmarks.result import Row, row
from benchmarks.turns import by_turns, told
from geo.index import FenceIndex
from geo.match import match


class Cost(NamedTuple):
    """Of one kind of outline."""

    times: list[float]
    """In each round, how many times as long many vertices took."""
    note: str


async def bench(plan: Plan) -> list[Row]:
    """The worst kind of outline is the figure; the others stand in the note."""
    geo.warm()
    random = np.random.default_rng(plan.seed)
    places = uniform(random, plan.count("polygons"), plan.count("points"), plan.number("per_km2"))
    costs = {kind: _cost(plan, places, kind) for kind in OUTLINES}
    worst = max(costs, key=lambda kind: statistics.median(costs[kind].times))
    note = f"the worst of three outlines, {worst}: {costs[worst].note}"
    others = "; ".join(f"{kind}: {cost.note}" for kind, cost in costs.items() if kind != worst)
    return [row(plan.bar("polygon_vertices"), costs[worst].times, f"{note} ({others})")]


def _cost(plan: Plan, places: Places, kind: str) -> Cost:
    few, many = (_index(plan, places, kind, plan.count(knob)) for knob in ("few", "many"))
    points = places.point_lat, places.point_lng
    found = [len(match(index, *points).point) / len(points[0]) for index in (few, many)]
    works = {"few": lambda: match(few, *points), "many": lambda: match(many, *points)}
    spent = by_turns(works, plan.count("rounds"))
    ns = [1e9 * statistics.median(each) / len(points[0]) for each in spent.values()]
    times = [b / a for a, b in zip(*spent.values(), strict=True)]
    note = f"{statistics.median(times):.2f} times, {ns[0]:.0f} and {ns[1]:.0f} ns a point, {found[0]:.2f} and "
    told(f"{kind}: {note}{found[1]:.2f} pairs")
    return Cost(times, f"{note}{found[1]:.2f} pairs")


def _index(plan: Plan, places: Places, kind: str, vertices: int) -> FenceIndex:
    """Polygons of one kind at all places, the same shapes for the same plan as far as *vertices* allow."""
    random = np.random.default_rng([plan.seed, 1])
    middles = zip(places.lat.tolist(), places.lng.tolist(), strict=True)
    fences = [placed(n, OUTLINES[kind](random, vertices), at, plan.number("radius_m")) for n, at in enumerate(middles)]
    began = time.perf_counter()
    index = FenceIndex.build(fences)
    told(f"{kind}, {vertices} vertices: {len(fences)} polygons compiled in {time.perf_counter() - began:.2f} s")
    return index
