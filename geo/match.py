"""Points against fences: exact (point, fence) pairs."""

from __future__ import annotations

import numpy as np

from geo.arrays import Floats, Ints, frozen
from geo.cells import locate
from geo.gather import Pairs, block_candidates, block_pairs
from geo.grouping import together
from geo.index import FenceIndex, IndexArrays
from geo.kernels import allocating, kernel
from geo.sifted import BLOCK, Points, room_for

MANY = 4_096
"""From so many points on it pays to take those together that are near each other."""
_PAIRS = 8
"""A point for which there is room at first; what is not used costs nothing."""

__all__ = ["Pairs", "match"]


def match(index: FenceIndex, lat: Floats, lng: Floats) -> Pairs:
    """Every pair of a point and a fence that holds it. A point that is not `valid` has no pairs."""
    lat, lng = frozen(lat, np.float64), frozen(lng, np.float64)
    cell, unit = locate(lat, lng)
    sort = len(lat) >= MANY
    order = together(cell) if sort else np.arange(len(lat), dtype=np.int32)
    points = Points(lat, lng, unit, cell, order)
    out, start, count = _room(_PAIRS * len(lat) + BLOCK), 0, 0
    while True:
        start, count, more = _pairs(index.kernel_view, points, out, start, count)
        if start >= len(lat):
            break
        longer = _room(2 * len(out.point) + more)
        for name in Pairs._fields:
            getattr(longer, name)[:count] = getattr(out, name)[:count]
        out = longer
    pairs = Pairs(out.point[:count], out.fence[:count], out.edge_m[:count])
    return _by_point(pairs, len(lat)) if sort else pairs


def _room(length: int) -> Pairs:
    return Pairs(np.empty(length, np.int32), np.empty(length, np.int32), np.empty(length, np.float64))


def _by_point(pairs: Pairs, points: int) -> Pairs:
    """In the order of the points; those of one point are in order, and together."""
    ordered = _room(len(pairs.point))
    _scatter(pairs, np.zeros(points + 1, np.int32), ordered)
    return ordered


@kernel
def _scatter(pairs: Pairs, ends: Ints, ordered: Pairs) -> None:
    """*ends* is empty at first, and of no use afterwards."""
    for k in range(len(pairs.point)):
        ends[pairs.point[k] + 1] += 1
    for i in range(1, len(ends)):
        ends[i] += ends[i - 1]
    for k in range(len(pairs.point)):
        point = pairs.point[k]
        at = ends[point]
        ends[point] = at + 1
        ordered.point[at], ordered.fence[at], ordered.edge_m[at] = point, pairs.fence[k], pairs.edge_m[k]


@allocating
def _pairs(index: IndexArrays, points: Points, out: Pairs, start: int, count: int) -> tuple[int, int, int]:
    """Go on at place *start* of the order behind the first *count* pairs, block by block while *out* has room; (place
    to go on at, pairs there are, the most that its block may bring).
    """
    sifted = room_for(BLOCK)
    while start < len(points.order):
        runs, most = block_candidates(index, points, start, sifted)
        if count + most >= len(out.point):
            return start, count, most
        count = block_pairs(index, points, sifted, out, (runs, count))
        start += BLOCK
    return start, count, 0
