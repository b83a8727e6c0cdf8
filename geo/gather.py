"""Blocks of points through the index, one small step after the other. Kernels only.

A step does the same for all points of a block, with no branch on what memory says: so the processor has the next points'
nodes, postings and fences on their way while it waits for the first one's. Point by point each would be waited for.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from geo.arrays import Cells, Floats, Ints
from geo.cells import ancestor
from geo.edge import arc_of, polygon_depth_m
from geo.index import IndexArrays
from geo.kernels import kernel
from geo.leaves import sin_cos
from geo.postings import own_span, part_of, part_span
from geo.table import KEY, OWN, settled, slot_of

BLOCK: Final = 256
_CANDIDATES: Final = 1024
_RUNS: Final = 4
"""For each of two upper levels a node's own postings, and those of one part."""


class Points(NamedTuple):
    """Points ready for kernels."""

    lat: Floats
    lng: Floats
    cell: Cells
    """u8[n]: leaves, `NO_CELL` for points that are not valid."""


class Sifted(NamedTuple):
    """What is known of a block's points."""

    xyz: Floats
    """f8[3, BLOCK]: unit vectors."""
    degrees: Floats
    """f8[2, BLOCK]: latitude and longitude."""
    span: Ints
    """i4[2 * _RUNS, BLOCK]: first and end of each run of postings."""
    candidate: Ints
    """i4[2, _CANDIDATES]: place of the point in the block, place of the posting."""


@kernel
def room_for(points: int) -> Sifted:
    """An empty record for blocks of that many points."""
    return Sifted(
        np.empty((3, points), np.float64),
        np.empty((2, points), np.float64),
        np.empty((2 * _RUNS, points), np.int32),
        np.empty((2, _CANDIDATES), np.int32),
    )


@kernel
def block_candidates(index: IndexArrays, points: Points, start: int, sifted: Sifted) -> int:
    """Fill *sifted*, but for its candidates, with the block of points from *start* on; how many candidates it has."""
    end = min(start + BLOCK, len(points.lat))
    _unit_vectors(points.lat[start:end], points.lng[start:end], sifted.xyz, sifted.degrees)
    span = sifted.span
    span[:] = 0
    for u in range(len(index.upper)):
        _spans(index.node, index.shift, index.part_ptr, points.cell[start:end], (index.upper[u], 4 * u), span)
    most = 0
    for run in range(0, 2 * _RUNS, 2):
        for i in range(end - start):
            most += span[run + 1, i] - span[run, i]
    return most


@kernel
def _unit_vectors(lat: Floats, lng: Floats, xyz: Floats, degrees: Floats) -> None:
    """As `geo.sphere.unit`, which a loop of vector instructions cannot call; anything for invalid points."""
    for i in range(len(lat)):
        sin_lat, cos_lat = sin_cos(lat[i])
        sin_lng, cos_lng = sin_cos(lng[i])
        xyz[0, i], xyz[1, i], xyz[2, i] = cos_lat * cos_lng, cos_lat * sin_lng, sin_lat
        degrees[0, i], degrees[1, i] = lat[i], lng[i]


@kernel
def _spans(
    nodes: Cells, shift: np.uint64, part_ptr: Ints, cells: Cells, level: tuple[int, int], span: Ints
) -> None:
    """The runs of each point's node. level: its resolution, and the first of four rows of *span*."""
    upper, row = level
    slots, keys, firsts = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
    for i in range(len(cells)):
        keys[i] = ancestor(cells[i], upper)
        slots[i] = slot_of(shift, keys[i])
    for i in range(len(cells)):
        firsts[i] = nodes[slots[i], KEY]
    for i in range(len(cells)):
        slot = slots[i]
        if firsts[i] != keys[i]:
            if firsts[i] == 0:
                continue
            slot = settled(nodes, slot, keys[i])
            if nodes[slot, KEY] == 0:
                continue
        span[row, i], span[row + 1, i] = own_span(nodes[slot, OWN])
        span[row + 2, i], span[row + 3, i] = part_span(nodes, part_ptr, slot, part_of(cells[i], upper))


@kernel
def block_pairs(index: IndexArrays, sifted: Sifted, out: NamedTuple, start: int, count: int) -> int:
    """Write the pairs of a block that begins at the point *start* behind the first *count*; how many there are then."""
    point, posting, waiting, first = sifted.candidate[0], sifted.candidate[1], 0, count
    span = sifted.span
    runs = 4 * len(index.upper)
    for i in range(span.shape[1]):
        for run in range(0, runs, 2):
            for at in range(span[run, i], span[run + 1, i]):
                point[waiting], posting[waiting] = i, at
                waiting += 1
                if waiting == _CANDIDATES:
                    count, waiting = _sift(index, sifted, waiting, out, start, count), 0
    count = _sift(index, sifted, waiting, out, start, count)
    _sort_by_fence(out, first, count)
    return count


@kernel
def _sift(index: IndexArrays, sifted: Sifted, waiting: int, out: NamedTuple, start: int, count: int) -> int:
    """Write those of the waiting candidates that are pairs; how many pairs there are then."""
    fences, away = np.empty(_CANDIDATES, np.int64), np.empty(_CANDIDATES, np.float64)
    point, posting, xyz, centre = sifted.candidate[0], sifted.candidate[1], sifted.xyz, index.centre
    for c in range(waiting):
        fence = np.int64(index.posting[posting[c]])
        fences[c] = fence if fence >= 0 else ~fence
    for c in range(waiting):
        f, i = fences[c], point[c]
        dx, dy, dz = centre[f, 0] - xyz[0, i], centre[f, 1] - xyz[1, i], centre[f, 2] - xyz[2, i]
        away[c] = dx * dx + dy * dy + dz * dz
    for c in range(waiting):
        f, limit = fences[c], centre[fences[c], 3]
        if away[c] <= limit:
            out.point[count], out.fence[count] = start + point[c], f
            out.edge_m[count] = arc_of(away[c]) - arc_of(limit)
            count += 1
        elif limit < 0.0:
            i = point[c]
            here = xyz[0, i], xyz[1, i], xyz[2, i], sifted.degrees[0, i], sifted.degrees[1, i]
            depth_m = polygon_depth_m(index.outlines, index.rims, (f, index.rim[posting[c]]), here)
            if depth_m <= 0.0:
                out.point[count], out.fence[count], out.edge_m[count] = start + i, f, depth_m
                count += 1
    return count


@kernel
def _sort_by_fence(out: NamedTuple, first: int, end: int) -> None:
    """Order out[first:end], which ascends by point, by (point, fence), by insertion: a point has few pairs, in at most
    eight ascending runs.
    """
    for i in range(first + 1, end):
        point, fence = out.point[i], out.fence[i]
        if out.point[i - 1] != point or out.fence[i - 1] < fence:
            continue
        edge, j = out.edge_m[i], i
        while j > first and out.point[j - 1] == point and out.fence[j - 1] > fence:
            out.fence[j], out.edge_m[j] = out.fence[j - 1], out.edge_m[j - 1]
            j -= 1
        out.fence[j], out.edge_m[j] = fence, edge
