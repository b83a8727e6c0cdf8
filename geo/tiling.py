"""How the tiles of polygons are laid: halved until few edges matter in each. Kernels only, but for `tiles_of`.

Work and memory are bounded before: a polygon has `WORDS` words an edge to spend. A tile that is halved gives what it
has to its quarters, by the edges that meet them; one that has not enough is a leaf with a long list, as is the
smallest.
"""

from __future__ import annotations

import math

import numpy as np

from geo.arrays import Floats, Ints, Longs, frozen
from geo.fanout import fanned
from geo.groups import balls
from geo.kernels import allocating, inlined, kernel
from geo.outline import Outlines
from geo.sieve import Listed, Slate, Tile, narrowed, reached, sifted, thinned
from geo.tiles import DEPTH_MAX, FLAG_BITS, SIDE_BITS, Tiles
from geo.visits import roomy

WORDS = 100
FEW = 10
"""A list so short is not worth halving its tile for."""
_PATIENCE = 32
"""A list longer than that is thinned only where no edge meets the tile."""
_PAD = 2.0**-10
"""Of the frame around the box, in boxes."""
_COS_MIN = 0.017
"""Nothing of a fence lies nearer to a pole than 1°."""
_OUTSIDE = ~1
_RAD = math.pi / 180.0


def tiles_of(outlines: Outlines) -> Tiles:
    """The tiles of all polygons among the fences."""
    frame = np.zeros((len(outlines.chain_ptr) - 1, 4))
    tile_at = np.zeros((len(frame) + 1, 2), np.int64)
    tile = _tile_all(outlines, frame, tile_at).copy()  # no longer than what is in it
    return Tiles(frozen(frame, np.float64), frozen(tile_at, np.int64), frozen(tile, np.int32))


@allocating
def _tile_all(outlines: Outlines, frame: Floats, tile_at: Longs) -> Ints:
    """Fill *frame* and *tile_at*; the words."""
    words, used = np.empty(1024, np.int32), 0
    ptr = outlines.chain_ptr
    for f in range(len(frame)):
        tile_at[f, 0], tile_at[f, 1] = used, outlines.chain[ptr[f], 0] if ptr[f] < ptr[-1] else len(outlines.vertex)
        if ptr[f] == ptr[f + 1]:
            continue
        _frame(outlines.box[outlines.box_ptr[f + 1] - 1], frame[f])
        slate = _slate(outlines, ptr[f], ptr[f + 1], frame[f])
        words, used = _tiled(slate, frame[f], words, used)
    tile_at[-1, 0], tile_at[-1, 1] = used, len(outlines.vertex)
    return words[:used]


@kernel
def _frame(box: Floats, frame: Floats) -> None:
    """The frame of a polygon's *box*, written into its row."""
    lat, lng = 0.5 * (box[0] + box[2]), 0.5 * (box[1] + box[3])
    wide = max(_COS_MIN, math.cos(lat * _RAD))
    side = max(box[2] - box[0], (box[3] - box[1]) * wide) * (1.0 + 2.0 * _PAD)
    frame[0], frame[1] = lat - 0.5 * side, lng - 0.5 * side / wide
    frame[2], frame[3] = 1.0 / side, wide / side


@allocating
def _slate(outlines: Outlines, first_chain: int, end_chain: int, frame: Floats) -> Slate:
    """Of the polygon with those chains; its first list has all edges."""
    chain, vertex = outlines.chain, outlines.vertex
    first, last = chain[first_chain, 0], chain[end_chain - 1, 1]
    size = last + 1 - first
    before, after = np.empty(size, np.int32), np.empty(size, np.int32)
    edge = np.empty(size, np.int32)
    ring, count = 0, 0
    for c in range(first_chain, end_chain):
        for e in range(chain[c, 0] - first, chain[c, 1] - first):
            before[e], after[e] = e - 1, e + 1
            edge[count] = e
            count += 1
        end = chain[c, 1] - first
        if c + 1 == end_chain or chain[c + 1, 0] - first != end:
            before[ring], after[end - 1] = end - 1, ring
            ring = end + 1
    edge, spot, mark = edge[:count], np.empty((size, 2)), np.empty(size, np.int32)
    for k in range(size):
        spot[k, 0] = (vertex[first + k, 0] - frame[0]) * frame[2]
        spot[k, 1] = (vertex[first + k, 1] - frame[1]) * frame[3]
        mark[k] = -1
    ray, pile = np.empty((size, 3)), np.empty(size * (4 * DEPTH_MAX + 2), np.int32)
    return Slate(spot, before, after, mark, ray, edge, balls(spot, edge, _wide(frame, 0.5, 0.5)[0]), pile)


@allocating
def _tiled(slate: Slate, frame: Floats, words: Ints, used: int) -> tuple[Ints, int]:
    """(*words* or a longer array, how many are used) after the words of one polygon."""
    pile, first, edges = slate.pile, used, len(slate.edge)
    words = roomy(words, used + 2)
    words[first + 1] = 0
    for k in range(edges):  # here and below: a slice assignment takes numba seconds to compile
        pile[k] = slate.edge[k] << FLAG_BITS
    used += 2
    stack, count = np.empty((4 * DEPTH_MAX + 4, 10), np.int64), 1
    for k in range(stack.shape[1]):
        stack[0, k] = 0
    stack[0, 4], stack[0, 7] = edges, WORDS * edges
    quad, nodes = np.empty((64, 4), np.int32), 1
    while count:
        count -= 1
        todo = stack[count]
        tile = _tile(frame, todo[0], todo[1], todo[2])
        mine, settled = _settled(slate, todo, tile)
        slot, end = todo[6], mine[2]
        if settled:
            quad[slot >> 2, slot & 3] = ~(used - first)
            words = roomy(words, used + 1 + end - mine[0])
            words[used] = ((end - mine[0]) << SIDE_BITS | (mine[1] - mine[0])) << 1 | int(mine[3])
            used += 1
            for k in range(mine[0], end):
                words[used] = pile[k]
                used += 1
            continue
        quad[slot >> 2, slot & 3] = nodes
        if nodes == len(quad):
            quad = _twice(quad)
        count = _quartered(slate, frame, stack, count, mine[2], (quad[nodes], nodes))
        nodes += 1
    return fanned(quad, nodes, words, first, used)


@allocating
def _twice(quad: Ints) -> Ints:
    """*quad* with as many rows again."""
    longer = np.empty((2 * len(quad), 4), np.int32)
    for k in range(len(quad)):
        for quarter in range(4):
            longer[k, quarter] = quad[k, quarter]
    return longer


@inlined
def _tile(frame: Floats, row: int, column: int, depth: int) -> Tile:
    half = 1.0 / (2 << depth)
    y, x = (2 * row + 1) * half, (2 * column + 1) * half
    wide, even = _wide(frame, y, half)
    return y, x, half, wide, even


@inlined
def _wide(frame: Floats, y: float, half: float) -> tuple[float, float]:
    """`wide` and `even` (`geo.sieve`) within *half* of y."""
    mid, step = math.cos((frame[0] + y / frame[2]) * _RAD), half / frame[2] * _RAD
    most, least = max(_COS_MIN, mid + step), max(_COS_MIN, mid - step)
    return most * frame[2] / frame[3], least / most


@inlined
def _settled(slate: Slate, todo: Longs, tile: Tile) -> tuple[Listed, bool]:
    """The tile's list, and whether it is a leaf's."""
    sides = todo[4] - todo[3]
    mine = (todo[3], todo[4], todo[4], todo[5] != 0)
    poor = todo[2] == DEPTH_MAX or todo[7] < _cost(sides)
    if sides > FEW and not poor:
        return mine, False
    for k in range(todo[3], todo[4]):
        slate.mark[slate.pile[k] >> FLAG_BITS] = todo[6]  # its sisters have marked theirs since
    if todo[8] < todo[9]:
        mine = narrowed(slate, (todo[8], todo[9]), mine, tile, todo[6])
    else:
        mine = reached(slate, mine, tile, todo[6])
    end = thinned(slate, mine, tile, _PATIENCE if poor else FEW)
    if poor or end - mine[0] <= FEW:
        return (mine[0], mine[1], end, mine[3]), True
    return mine, False


@inlined
def _cost(sides: int) -> int:
    """Of a halving, about the words it adds."""
    return 8 + sides


@allocating
def _quartered(slate: Slate, frame: Floats, stack: Longs, count: int, end: int, new_node: tuple[Ints, int]) -> int:
    """Put the four quarters of the tile stack[count] in its place; how many are on the stack then."""
    todo = stack[count].copy()
    above = (todo[3], todo[4], todo[4], todo[5] != 0)
    cells, node = new_node
    top, bottom, total = end, count, 0
    for quarter in range(4):
        row, column = 2 * todo[0] + (quarter >> 1), 2 * todo[1] + (quarter & 1)
        tile, number = _tile(frame, row, column, todo[2] + 1), 4 * node + quarter
        mine = sifted(slate, above, tile, number, top)
        if mine[1] == mine[0] and not mine[3]:
            cells[quarter] = _OUTSIDE
            continue
        top = mine[1]
        total += _cost(mine[1] - mine[0])
        new = stack[count]
        new[0], new[1], new[2], new[3], new[4], new[5], new[6], new[8], new[9] = (
            row,
            column,
            todo[2] + 1,
            mine[0],
            mine[1],
            int(mine[3]),
            number,
            todo[3],
            end if end > todo[4] else todo[3],
        )
        count += 1
    for k in range(bottom, count):
        stack[k, 7] = (todo[7] - _cost(todo[4] - todo[3])) * _cost(stack[k, 4] - stack[k, 3]) // total
    return count
