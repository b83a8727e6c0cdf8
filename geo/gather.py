"""Blocks of points through the index, one small step after the other. Kernels only.

A step does the same for all points of a block, with no branch on what memory says: so the processor has the nodes,
postings and fences of the next points on their way while it waits for the first one's. Point by point it would wait for
each. Places that come out of memory are unsigned: of a signed one numba asks first whether it counts from the end.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from geo.arrays import Floats, Ints
from geo.asking import ask_polygons
from geo.edge import arc_of
from geo.index import IndexArrays, Lookup
from geo.kernels import kernel
from geo.postings import BITS, OWN, PARTS, group_of, node_of, one_down, part_of, part_span, place_of, span_of
from geo.sifted import BLOCK, CANDIDATES, Points, Sifted, rank_of

_ROOM: Final = np.uint64(CANDIDATES)


class Pairs(NamedTuple):
    """M pairs, ordered by (point, fence)."""

    point: Ints
    """i4[M]: place of the point in the arrays given."""
    fence: Ints
    """i4[M]: position of the fence in the index."""
    edge_m: Floats
    """f8[M]: `geo.edge.edge_m`, never above 0; of a polygon up to 5 % too deep."""


@kernel
def block_candidates(index: IndexArrays, points: Points, start: int, sifted: Sifted) -> tuple[int, int]:
    """Fill *sifted*, but for its candidates, with the block of points from *start* on; (runs, candidates) it has."""
    count = min(BLOCK, len(points.order) - start)
    _fetch(points, start, count, sifted)
    for u in range(len(index.lookup.upper)):
        _find_nodes(index.lookup, count, u, sifted)
    runs = _list_runs(index.lookup, count, sifted)
    most, first, end = 0, sifted.run[1], sifted.run[2]
    for run in range(runs):
        most += end[run] - first[run]
    return runs, most


@kernel
def _fetch(points: Points, start: int, count: int, sifted: Sifted) -> None:
    """Cells and unit vectors of the block's points."""
    which, cell, x, y, z = sifted.which, sifted.cell, sifted.xyz[0], sifted.xyz[1], sifted.xyz[2]
    for i in range(count):
        point = np.uint64(points.order[start + i])
        which[i], cell[i] = points.order[start + i], points.cell[point]
        x[i], y[i], z[i] = points.unit[point, 0], points.unit[point, 1], points.unit[point, 2]


@kernel
def _find_nodes(lookup: Lookup, count: int, u: int, sifted: Sifted) -> None:
    """Set the points' nodes at upper[u]."""
    cells, nodes, upper, none = sifted.cell, sifted.node[u], lookup.upper[u], len(lookup.node) - 1
    for i in range(count):
        nodes[i] = group_of(lookup.group, lookup.shift, cells[i], upper)
    for i in range(count):
        nodes[i] = node_of(lookup.group, nodes[i], place_of(cells[i], upper), none)


@kernel
def _list_runs(lookup: Lookup, count: int, sifted: Sifted) -> int:
    """Write the runs of the points' nodes, by point; how many."""
    cells, uppers, runs, row = sifted.cell, len(lookup.upper), np.uint64(0), lookup.node
    point, first, end = sifted.run[0], sifted.run[1], sifted.run[2]
    for i in range(count):
        for u in range(uppers):
            node, part = sifted.node[u, i], part_of(cells[i], lookup.upper[u])
            bits, parts = row[node, BITS], row[node, PARTS]
            point[runs] = i
            first[runs], end[runs] = span_of(row[node, OWN])
            runs += np.uint64(first[runs] < end[runs])
            point[runs] = i
            first[runs], end[runs] = part_span(bits, parts, lookup.posting, one_down(part))
            runs += np.uint64(first[runs] < end[runs])
            point[runs] = i
            first[runs], end[runs] = part_span(bits, parts, lookup.posting, part)
            runs += np.uint64(first[runs] < end[runs])
    return int(np.int64(runs))


@kernel
def block_pairs(index: IndexArrays, points: Points, sifted: Sifted, out: Pairs, state: tuple[int, int]) -> int:
    """Write the pairs of a block behind the first state[1]; how many there are then. state: runs of the block, pairs so
    far.
    """
    (runs, count), run, done, begun = state, 0, 0, state[1]
    while run < runs:
        run, done, waiting = _near(index.lookup, sifted, runs, (run, done))
        count = _sift(index, points, sifted, waiting, (out, count))
    _sort_by_fence(out, begun, count)
    for k in range(begun, count):
        out.point[k] = sifted.which[out.point[k]]
    return count


@kernel
def _near(lookup: Lookup, sifted: Sifted, runs: int, state: tuple[int, int]) -> tuple[int, int, int]:
    """Write candidates while there is room: fences of the runs of which the point lies in the circle around them.

    state: the run to go on with, and how many of its postings are done. Returns those of the next time, and how many
    candidates there are.
    """
    posting_of, centre, xyz = lookup.posting, lookup.centre, sifted.xyz
    who, first, end = sifted.run[0], sifted.run[1], sifted.run[2]
    point, posting, square, limit = sifted.candidate[0], sifted.candidate[1], sifted.square[0], sifted.square[1]
    (run, done), waiting = state, np.uint64(0)
    while run < runs and waiting < _ROOM:
        i = np.uint64(who[run])
        x, y, z = xyz[0, i], xyz[1, i], xyz[2, i]
        start, last = np.uint64(first[run] + done), np.uint64(end[run])
        stop = min(last, start + (_ROOM - waiting))
        for at in range(start, stop):
            rank = rank_of(posting_of[at])
            dx, dy, dz, most = centre[rank, 0] - x, centre[rank, 1] - y, centre[rank, 2] - z, centre[rank, 3]
            near = dx * dx + dy * dy + dz * dz
            point[waiting], posting[waiting], square[waiting], limit[waiting] = who[run], posting_of[at], near, most
            waiting += np.uint64(near <= abs(most))
        done = 0 if stop == last else done + int(np.int64(stop - start))
        run += stop == last
    return run, done, int(np.int64(waiting))


@kernel
def _sift(index: IndexArrays, points: Points, sifted: Sifted, waiting: int, state: tuple[Pairs, int]) -> int:
    """Write those of the waiting candidates that are pairs, points by their place in the block; how many pairs there
    are then. state: where to, and how many there are.
    """
    (out, count), order = state, index.lookup.order
    point, posting, square, limit = sifted.candidate[0], sifted.candidate[1], sifted.square[0], sifted.square[1]
    edge_m, which, polygons, pairs = sifted.edge_m, sifted.polygon[0], np.uint64(0), np.uint64(count)
    for c in range(waiting):
        edge_m[c] = arc_of(square[c]) - arc_of(abs(limit[c]))
    for c in range(waiting):
        which[polygons] = c
        polygons += np.uint64(limit[c] < 0.0)
    if polygons:
        ask_polygons(index, points, sifted, int(np.int64(polygons)))
    for c in range(waiting):
        out.point[pairs], out.fence[pairs], out.edge_m[pairs] = point[c], order[rank_of(posting[c])], edge_m[c]
        pairs += np.uint64(edge_m[c] <= 0.0)
    return int(np.int64(pairs))


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
