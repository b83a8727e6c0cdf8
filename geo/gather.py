"""Blocks of points through the index, one small step after the other. Kernels only.

A step does the same for all points of a block, with no branch on what memory says: so the processor has the nodes,
postings and fences of the next points on their way while it waits for the first one's. Point by point it would wait for
each.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from geo.arrays import Cells, Floats, Ints, Longs
from geo.cells import ancestor
from geo.edge import arc_of
from geo.index import IndexArrays, Lookup
from geo.kernels import allocating, kernel
from geo.postings import OWN, RUNS, UPPER, one_down, part_of, part_span, span_of
from geo.sphere import unit
from geo.table import KEY, settled, slot_of
from geo.tiles import leaf_at, leaf_holds, leaf_m

BLOCK: Final = 256
_CANDIDATES: Final = 1024
_RUNS: Final = RUNS * len(UPPER)


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
    slot: Longs
    """i8[BLOCK]: where each point's node may stand in the table."""
    key: Cells
    """u8[2, BLOCK]: the cell of that node, and what stands there."""
    candidate: Ints
    """i4[2, _CANDIDATES]: place of the point in the block, place of the posting."""
    fence: Longs
    """i8[_CANDIDATES]: of the posting."""
    square: Floats
    """f8[_CANDIDATES]: of the chord from the point to the fence's middle."""


@allocating
def room_for(points: int) -> Sifted:
    """An empty record for blocks of that many points."""
    return Sifted(
        np.empty((3, points), np.float64),
        np.empty((2, points), np.float64),
        np.empty((2 * _RUNS, points), np.int32),
        np.empty(points, np.int64),
        np.empty((2, points), np.uint64),
        np.empty((2, _CANDIDATES), np.int32),
        np.empty(_CANDIDATES, np.int64),
        np.empty(_CANDIDATES, np.float64),
    )


@kernel
def block_candidates(index: IndexArrays, points: Points, start: int, sifted: Sifted) -> int:
    """Fill *sifted*, but for its candidates, with the block of points from *start* on; how many candidates it has."""
    end = min(start + BLOCK, len(points.lat))
    _unit_vectors(points.lat[start:end], points.lng[start:end], sifted.xyz, sifted.degrees)
    lookup, span = index.lookup, sifted.span
    span[:] = 0
    for u in range(len(lookup.upper)):
        _spans(lookup, points.cell[start:end], (lookup.upper[u], 2 * RUNS * u), sifted)
    most = 0
    for run in range(0, 2 * RUNS * len(lookup.upper), 2):
        for i in range(end - start):
            most += span[run + 1, i] - span[run, i]
    return most


@kernel
def _unit_vectors(lat: Floats, lng: Floats, xyz: Floats, degrees: Floats) -> None:
    """Anything for points that are not valid."""
    for i in range(len(lat)):
        xyz[0, i], xyz[1, i], xyz[2, i] = unit(lat[i], lng[i])
        degrees[0, i], degrees[1, i] = lat[i], lng[i]


@kernel
def _spans(lookup: Lookup, cells: Cells, level: tuple[int, int], sifted: Sifted) -> None:
    """The runs of each point's node. level: its resolution, and the first of its rows in `Sifted.span`."""
    upper, row = level
    slots, keys, stand, span = sifted.slot, sifted.key[0], sifted.key[1], sifted.span
    for i in range(len(cells)):
        keys[i] = ancestor(cells[i], upper)
        slots[i] = slot_of(lookup.shift, keys[i])
    for i in range(len(cells)):
        stand[i] = lookup.node[slots[i], KEY]
    for i in range(len(cells)):
        slot = slots[i]
        if stand[i] != keys[i]:
            if stand[i] == 0:
                continue
            slot = settled(lookup.node, slot, keys[i])
            if lookup.node[slot, KEY] == 0:
                continue
        span[row, i], span[row + 1, i] = span_of(lookup.node[slot, OWN])
        part = part_of(cells[i], upper)
        span[row + 2, i], span[row + 3, i] = part_span(lookup.node, lookup.part_ptr, slot, one_down(part))
        span[row + 4, i], span[row + 5, i] = part_span(lookup.node, lookup.part_ptr, slot, part)


@kernel
def block_pairs(index: IndexArrays, sifted: Sifted, out: NamedTuple, start: int, count: int) -> int:
    """Write the pairs of a block that begins at the point *start* behind the first *count*; how many there are then."""
    point, posting, waiting, first = sifted.candidate[0], sifted.candidate[1], 0, count
    lookup, span = index.lookup, sifted.span
    runs = 2 * RUNS * len(lookup.upper)
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
    fences, away = sifted.fence, sifted.square
    point, posting = sifted.candidate[0], sifted.candidate[1]
    tiles, outline = index.tiles, index.outlines.vertex
    posting_of, centre, xyz = index.lookup.posting, index.lookup.centre, sifted.xyz
    for c in range(waiting):
        fence = np.int64(posting_of[posting[c]])
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
            lat, lng = sifted.degrees[0, i], sifted.degrees[1, i]
            leaf, vertex, lng = leaf_at(tiles.frame, tiles.tile_at, tiles.tile, f, (lat, lng))
            if leaf >= 0 and leaf_holds(outline, tiles.tile, (leaf, vertex), (lat, lng)):
                east = math.sqrt(xyz[0, i] ** 2 + xyz[1, i] ** 2)
                out.point[count], out.fence[count] = start + i, f
                out.edge_m[count] = -leaf_m(outline, tiles.tile, (leaf, vertex), (lat, lng), east)
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
