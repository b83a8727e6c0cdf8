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
from geo.kernels import allocating, constant, kernel
from geo.postings import OWN, RUNS, UPPER, one_down, part_of, part_span, span_of
from geo.sphere import unit
from geo.table import KEY, settled, slot_of
from geo.tiles import DEPTH_MAX, NODE, below, leaf_holds, leaf_m, square_of

BLOCK: Final = 256
_CANDIDATES: Final = 1024
_RUNS: Final = RUNS * len(UPPER)
_NOWHERE: Final = constant(-1)


class Pairs(NamedTuple):
    """M pairs, ordered by (point, fence)."""

    point: Ints
    """i4[M]: place of the point in the arrays given."""
    fence: Ints
    """i4[M]: position of the fence in the index."""
    edge_m: Floats
    """f8[M]: `geo.edge.edge_m`, never above 0; of a polygon up to 5 % too deep."""


class Points(NamedTuple):
    """n points ready for kernels."""

    lat: Floats
    lng: Floats
    cell: Cells
    """u8[n]: leaves, `NO_CELL` for points that are not valid."""
    order: Ints
    """i4[n]: the order to take them in: near ones together."""


class Sifted(NamedTuple):
    """What is known of a block's points, and of candidates among them."""

    xyz: Floats
    """f8[3, BLOCK]: unit vectors."""
    degrees: Floats
    """f8[2, BLOCK]: latitude and longitude."""
    cell: Cells
    """u8[3, BLOCK]: the leaf, the cell of its node, and what stands in the table where that is looked for first."""
    slot: Longs
    """i8[BLOCK]: where that is."""
    span: Ints
    """i4[2 * _RUNS, BLOCK]: first and end of each run of postings."""
    candidate: Ints
    """i4[2, _CANDIDATES]: place of the point in the block, place of the posting."""
    fence: Longs
    """i8[_CANDIDATES]: of the posting."""
    away: Floats
    """f8[_CANDIDATES]: square of the chord to the fence's middle less that of its radius; of a polygon, whether it
    holds the point: 0 or 1.
    """
    edge_m: Floats
    """f8[_CANDIDATES]"""
    polygon: Longs
    """i8[5, _CANDIDATES]: of each candidate that is one its place among them, first word, first vertex, word reached
    and how often a tile there can be halved (`geo.tiles`). The first word is -1 if the point is outside of the frame.
    """
    square: Longs
    """i8[2, _CANDIDATES]: of the same the row and the column of the smallest tile there could be."""
    lng: Floats
    """f8[_CANDIDATES]: of the same the longitude in the polygon's turn."""


@allocating
def room_for(points: int) -> Sifted:
    """An empty record for blocks of that many points."""
    return Sifted(
        np.empty((3, points), np.float64),
        np.empty((2, points), np.float64),
        np.empty((3, points), np.uint64),
        np.empty(points, np.int64),
        np.empty((2 * _RUNS, points), np.int32),
        np.empty((2, _CANDIDATES), np.int32),
        np.empty(_CANDIDATES, np.int64),
        np.empty(_CANDIDATES, np.float64),
        np.empty(_CANDIDATES, np.float64),
        np.empty((5, _CANDIDATES), np.int64),
        np.empty((2, _CANDIDATES), np.int64),
        np.empty(_CANDIDATES, np.float64),
    )


@kernel
def block_candidates(index: IndexArrays, points: Points, start: int, sifted: Sifted) -> int:
    """Fill *sifted*, but for its candidates, with the block of points from *start* on; how many candidates it has."""
    count = min(BLOCK, len(points.order) - start)
    lookup, span = index.lookup, sifted.span
    _fetch(points, start, count, sifted)
    for u in range(len(lookup.upper)):
        _spans(lookup, count, (lookup.upper[u], 2 * RUNS * u), sifted)
    most = 0
    for run in range(0, 2 * RUNS * len(lookup.upper), 2):
        for i in range(count):
            most += span[run + 1, i] - span[run, i]
    return most


@kernel
def _fetch(points: Points, start: int, count: int, sifted: Sifted) -> None:
    """Cells, degrees and unit vectors of the block's points; anything for points that are not valid."""
    lat, lng, cell = sifted.degrees[0], sifted.degrees[1], sifted.cell[0]
    x, y, z = sifted.xyz[0], sifted.xyz[1], sifted.xyz[2]
    for i in range(count):
        point = points.order[start + i]
        lat[i], lng[i], cell[i] = points.lat[point], points.lng[point], points.cell[point]
    for i in range(count):
        x[i], y[i], z[i] = unit(lat[i], lng[i])


@kernel
def _spans(lookup: Lookup, count: int, level: tuple[int, int], sifted: Sifted) -> None:
    """The runs of each point's node. level: its resolution, and the first of its rows in `Sifted.span`."""
    upper, row = level
    cells, slots, keys, stand, span = sifted.cell[0], sifted.slot, sifted.cell[1], sifted.cell[2], sifted.span
    for i in range(count):
        keys[i] = ancestor(cells[i], upper)
        slots[i] = slot_of(lookup.shift, keys[i])
    for i in range(count):
        stand[i] = lookup.node[slots[i], KEY]
    for run in range(row, row + 2 * RUNS):
        for i in range(count):
            span[run, i] = 0
    for i in range(count):
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
def block_pairs(index: IndexArrays, points: Points, sifted: Sifted, out: Pairs, start: int, count: int) -> int:
    """Write the pairs of a block that begins at the point *start* behind the first *count*; how many there are then."""
    point, posting, waiting, first = sifted.candidate[0], sifted.candidate[1], 0, count
    span, runs = sifted.span, 2 * RUNS * len(index.lookup.upper)
    for i in range(min(BLOCK, len(points.order) - start)):
        for run in range(0, runs, 2):
            for at in range(span[run, i], span[run + 1, i]):
                point[waiting], posting[waiting] = i, at
                waiting += 1
                if waiting == _CANDIDATES:
                    count, waiting = _sift(index, sifted, waiting, out, count), 0
    count = _sift(index, sifted, waiting, out, count)
    _sort_by_fence(out, first, count)
    for k in range(first, count):
        out.point[k] = points.order[start + out.point[k]]
    return count


@kernel
def _sift(index: IndexArrays, sifted: Sifted, waiting: int, out: Pairs, count: int) -> int:
    """Write those of the waiting candidates that are pairs, points by their place in the block; how many pairs there
    are then.
    """
    fences, away, edge_m, point, posting = (
        sifted.fence,
        sifted.away,
        sifted.edge_m,
        sifted.candidate[0],
        sifted.candidate[1],
    )
    posting_of, centre, xyz = index.lookup.posting, index.lookup.centre, sifted.xyz
    for c in range(waiting):
        fence = np.int64(posting_of[posting[c]])
        fences[c] = fence if fence >= 0 else ~fence
    polygons = 0
    for c in range(waiting):
        f, i = fences[c], point[c]
        dx, dy, dz = centre[f, 0] - xyz[0, i], centre[f, 1] - xyz[1, i], centre[f, 2] - xyz[2, i]
        square, limit = dx * dx + dy * dy + dz * dz, centre[f, 3]
        away[c] = square - limit
        edge_m[c] = arc_of(square) - arc_of(abs(limit))
        sifted.polygon[0, polygons] = c
        polygons += limit < 0.0
    if polygons:
        _ask_polygons(index, sifted, polygons)
    for c in range(waiting):
        out.point[count], out.fence[count], out.edge_m[count] = point[c], fences[c], edge_m[c]
        count += away[c] <= 0.0
    return count


@kernel
def _ask_polygons(index: IndexArrays, sifted: Sifted, polygons: int) -> None:
    """Set `away` and `edge_m` of the candidates that are polygons."""
    tiles, outline, degrees, which = index.tiles, index.outlines.vertex, sifted.degrees, sifted.polygon[0]
    first, vertex, word = sifted.polygon[1], sifted.polygon[2], sifted.polygon[3]
    for k in range(polygons):
        f, i = sifted.fence[which[k]], sifted.candidate[0, which[k]]
        row, column, sifted.lng[k] = square_of(tiles.frame, f, (degrees[0, i], degrees[1, i]))
        sifted.square[0, k], sifted.square[1, k] = row, column
        first[k], vertex[k] = tiles.tile_at[f, 0] if row >= 0 else _NOWHERE, tiles.tile_at[f, 1]
    _descend(tiles.tile, sifted, polygons)
    for k in range(polygons):
        c = which[k]
        i = sifted.candidate[0, c]
        here, leaf = (degrees[0, i], sifted.lng[k]), (first[k] + ~word[k], vertex[k])
        sifted.away[c] = 1.0
        if first[k] >= 0 and leaf_holds(outline, tiles.tile, leaf, here):
            east = math.sqrt(sifted.xyz[0, i] ** 2 + sifted.xyz[1, i] ** 2)
            sifted.away[c], sifted.edge_m[c] = 0.0, -leaf_m(outline, tiles.tile, leaf, here, east)


@kernel
def _descend(tile: Ints, sifted: Sifted, polygons: int) -> None:
    """Go down to the leaves of all polygons at once, level by level."""
    first, word, shift = sifted.polygon[1], sifted.polygon[3], sifted.polygon[4]
    square, deeper = sifted.square, False
    for k in range(polygons):
        word[k], shift[k] = tile[first[k]] if first[k] >= 0 else _NOWHERE, DEPTH_MAX
        deeper |= word[k] >= 0
    while deeper:
        deeper = False
        for k in range(polygons):
            if word[k] >= 0:
                shift[k] -= word[k] & NODE
                word[k] = tile[first[k] + below(word[k], shift[k], square[0, k], square[1, k])]
                deeper |= word[k] >= 0


@kernel
def _sort_by_fence(out: Pairs, first: int, end: int) -> None:
    """Order out[first:end], which ascends by point, by (point, fence), by insertion: a point has few pairs,
    in few ascending runs.
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
