"""Points against fences: exact (point, fence) pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geo.arrays import Cells, Floats, Ints, frozen
from geo.cells import NO_CELL, ancestor, encode
from geo.edge import circle_edge_m, polygon_depth_m, spot
from geo.index import FenceIndex, IndexArrays
from geo.kernels import kernel
from geo.outline import CIRCLE
from geo.table import find


class Pairs(NamedTuple):
    """M pairs, ordered by (point, fence)."""

    point: Ints
    """i4[M]: place of the point in the arrays given."""
    fence: Ints
    """i4[M]: position of the fence in the index."""
    edge_m: Floats
    """f8[M]: `geo.edge.edge_m`, never above 0; of a polygon up to 5.5 % too deep."""


class Points(NamedTuple):
    """Points ready for kernels."""

    lat: Floats
    lng: Floats
    cell: Cells


def match(index: FenceIndex, lat: Floats, lng: Floats) -> Pairs:
    """Every pair of a point and a fence that holds it. A point that is not `valid` has no pairs."""
    lat, lng = frozen(lat, np.float64), frozen(lng, np.float64)
    points = Points(lat, lng, frozen(encode(lat, lng), np.uint64))
    room = 4 * len(lat) + 64
    while True:
        out = Pairs(np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.float64))
        found = _pairs(index.kernel_view, points, out)
        if found <= room:
            return Pairs(out.point[:found], out.fence[:found], out.edge_m[:found])
        room = found


@kernel
def _pairs(index: IndexArrays, points: Points, out: Pairs) -> int:
    """Write the pairs that fit into *out*; the number there are."""
    count, room = 0, len(out.point)
    outlines, rims = index.outlines, index.rims
    for i in range(len(points.lat)):
        if points.cell[i] == NO_CELL:
            continue
        here, first = spot(points.lat[i], points.lng[i]), count
        for res in index.levels:
            slot = find(index.cell_key, index.shift, ancestor(points.cell[i], res))
            if slot < 0:
                continue
            for at in range(index.cell_span[slot, 0], index.cell_span[slot, 2]):
                fence, rim = index.posting[at], index.rim[at]
                if rim == CIRCLE:
                    edge = circle_edge_m(index.xyz, index.radius_m, fence, here)
                else:
                    edge = polygon_depth_m(outlines, rims, (fence, rim), here)
                if edge <= 0.0:
                    if count < room:
                        out.point[count], out.fence[count], out.edge_m[count] = i, fence, edge
                    count += 1
        if count <= room:
            _sort_by_fence(out, first, count)
    return count


@kernel
def _sort_by_fence(out: Pairs, first: int, end: int) -> None:
    """Order out[first:end] by fence, by insertion: a point has few pairs, in at most eight ascending runs."""
    for i in range(first + 1, end):
        fence, edge, j = out.fence[i], out.edge_m[i], i
        while j > first and out.fence[j - 1] > fence:
            out.fence[j], out.edge_m[j] = out.fence[j - 1], out.edge_m[j - 1]
            j -= 1
        out.fence[j], out.edge_m[j] = fence, edge
