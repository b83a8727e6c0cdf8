"""Points against fences: exact (point, fence) pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geo.arrays import Floats, Ints, frozen
from geo.cells import encode
from geo.gather import BLOCK, Points, block_candidates, block_pairs, room_for
from geo.index import FenceIndex, IndexArrays
from geo.kernels import allocating


class Pairs(NamedTuple):
    """M pairs, ordered by (point, fence)."""

    point: Ints
    """i4[M]: place of the point in the arrays given."""
    fence: Ints
    """i4[M]: position of the fence in the index."""
    edge_m: Floats
    """f8[M]: `geo.edge.edge_m`, never above 0; of a polygon up to 5.5 % too deep."""


def match(index: FenceIndex, lat: Floats, lng: Floats) -> Pairs:
    """Every pair of a point and a fence that holds it. A point that is not `valid` has no pairs."""
    lat, lng = frozen(lat, np.float64), frozen(lng, np.float64)
    points = Points(lat, lng, frozen(encode(lat, lng), np.uint64))
    out, start, count = _room(2 * len(lat) + 64), 0, 0
    while True:
        start, count, more = _pairs(index.kernel_view, points, out, start, count)
        if start >= len(lat):
            return Pairs(*(array[:count] for array in out))
        longer = _room(max(2 * len(out.point), count + more))
        for array, kept in zip(longer, out, strict=True):
            array[:count] = kept[:count]
        out = longer


def _room(length: int) -> Pairs:
    return Pairs(np.empty(length, np.int32), np.empty(length, np.int32), np.empty(length, np.float64))


@allocating
def _pairs(index: IndexArrays, points: Points, out: Pairs, start: int, count: int) -> tuple[int, int, int]:
    """Go on at the point *start* behind the first *count* pairs, block by block while *out* has room; (point to go on
    at, pairs there are, the most that its block may bring).
    """
    sifted = room_for(BLOCK)
    while start < len(points.lat):
        most = block_candidates(index, points, start, sifted)
        if count + most > len(out.point):
            return start, count, most
        count = block_pairs(index, sifted, out, start, count)
        start += BLOCK
    return start, count, 0
