"""What the turns of many pings will read, fetched for all of them at once. Kernels only.

A turn reads one thing after the other: the group of a node, the node, its block, the fences in it. Among very many
fences each of these is far from the processor, and a turn waits for all of them. Here a step does the same for all
pings of a block, so that the processor waits for many at a time. Nothing is decided; where two keys have the same slot,
the wrong thing is fetched, and the turn fetches the right one.
"""

from __future__ import annotations

from typing import Final

from geo.arrays import Cells, Longs, Records
from geo.index import IndexArrays, Lookup
from geo.kernels import constant, kernel
from geo.leaves import ASK
from geo.postings import BITS, NEAR, PARTS, group_slot, node_of, place_of, span_of
from geo.records import NOBODY, Work
from geo.safe import CROWD

BLOCK: Final = constant(128)
ROWS: Final = 5
_FEW: Final = 4
"""Fewer pings are not worth it."""


@kernel
def look_ahead(
    work: Work, index: IndexArrays, pings: Records, cells: Cells, span: tuple[int, int], room: Longs
) -> None:
    """Read what the pings of a span, `BLOCK` at most, will need. cells: their leaves, with none above `ASK` for pings
    that need nothing. room: i8[ROWS, BLOCK], overwritten.
    """
    which, count = room[0], 0
    if span[1] - span[0] < _FEW:
        return
    for i in range(span[0], span[1]):
        which[count] = i
        count += cells[i] > ASK
    seen = _see_visits(work, index, pings, count, room)
    for u in range(len(index.lookup.upper)):
        seen += _see_blocks(index.lookup, cells, (u, count), room)
    room[1, 0] = seen  # so that nothing of it is left out as useless


@kernel
def _see_visits(work: Work, index: IndexArrays, pings: Records, count: int, room: Longs) -> int:
    """The customers' first visits, and what a turn asks of their fences."""
    which, head, fence, rank, seen = room[0], room[1], room[2], room[3], 0
    for k in range(count):
        head[k] = work.customers[pings[which[k]]["row"]]["head"]
    visits = 0
    for k in range(count if len(work.visits) else 0):
        fence[visits] = work.visits[max(head[k], 0)]["fence"]
        visits += head[k] != NOBODY
    for k in range(visits):
        rank[k] = index.lookup.rank[fence[k]]
        seen += index.radius_m[fence[k]] > index.reach_m[fence[k]]
        seen += index.dwells.dwell_ptr[fence[k]]
    for k in range(visits):
        seen += index.outlines.chain_ptr[rank[k]] + (index.lookup.centre[rank[k], 0] > 0.0)
    return seen


@kernel
def _see_blocks(lookup: Lookup, cells: Cells, what: tuple[int, int], room: Longs) -> int:
    """The nodes' blocks, and the fences whose edges come near. what: which of the upper resolutions, how many pings."""
    (u, count), which, node, block, first, end, seen = what, room[0], room[1], room[2], room[3], room[4], 0
    upper, none, last = lookup.upper[u], len(lookup.node) - 1, len(lookup.posting) - 1
    for k in range(count):
        node[k] = group_slot(lookup.shift, cells[which[k]], upper)
    for k in range(count):
        node[k] = node_of(lookup.group, node[k], place_of(cells[which[k]], upper), none)
    for k in range(count):
        block[k] = lookup.node[node[k], PARTS]
        first[k], end[k] = span_of(lookup.node[node[k], NEAR])
        seen += lookup.node[node[k], BITS] > 0  # a row may lie in two lines of the processor's cache; so below
    for k in range(count):
        seen += lookup.posting[min(block[k], last)] + lookup.posting[min(first[k], last)]
    for k in range(count):
        for at in range(first[k], min(end[k], first[k] + CROWD)):
            rank = lookup.posting[at]
            seen += (lookup.centre[rank, 0] > 0.0) + (lookup.centre[rank, 3] > 0.0) + lookup.order[rank]
    return seen
