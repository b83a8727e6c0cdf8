"""What the turns of many pings will read, fetched for all of them at once. Kernels only.

A turn reads one thing after the other: the group of a node, the node, its postings, the lists of what comes near, the
fences in them. Among very many fences each of these is far from the processor, and a turn waits for all of them. Here a
step does the same for all pings of a block, so that the processor waits for many at a time. Nothing is decided; where
two keys have the same slot, the wrong thing is fetched, and the turn fetches the right one.
"""

from __future__ import annotations

from typing import Final

from geo.arrays import Cells, Longs, Records
from geo.cells import ancestor
from geo.index import IndexArrays, Lookup, Near
from geo.kernels import constant, kernel
from geo.leaves import ASK
from geo.near import LIST
from geo.postings import BITS, PARTS, group_slot, node_of, part_of, part_span, place_of, span_of
from geo.records import NOBODY, Work
from geo.safe import CROWD
from geo.table import slot_of

BLOCK: Final = constant(128)
ROWS: Final = 4
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
    seen = _see_visits(work, pings, count, room)
    for r in range(len(index.near.near_res)):
        seen += _see_near(index.near, index.lookup, cells, (r, count), room)
    for u in range(len(index.lookup.upper)):
        seen += _see_postings(index.lookup, cells, (u, count), room)
    room[1, 0] = seen  # so that nothing of it is left out as useless


@kernel
def _see_visits(work: Work, pings: Records, count: int, room: Longs) -> int:
    """The first visits of the customers."""
    which, head, seen = room[0], room[1], 0
    for k in range(count):
        head[k] = work.customers[pings[which[k]]["row"]]["head"]
    for k in range(count):
        if head[k] != NOBODY:
            seen += work.visits[head[k]]["fence"]
    return seen


@kernel
def _see_near(near: Near, lookup: Lookup, cells: Cells, what: tuple[int, int], room: Longs) -> int:
    """The fences whose edges come near. what: which of the resolutions, how many pings."""
    (r, count), which, slot, first, end, seen = what, room[0], room[1], room[2], room[3], 0
    for k in range(count):
        slot[k] = slot_of(near.shift, ancestor(cells[which[k]], near.near_res[r]))
    for k in range(count):
        first[k], end[k] = span_of(near.near_cell[slot[k], LIST])
    for k in range(count):
        if first[k] < end[k]:
            seen += near.near[first[k]]
    for k in range(count):
        for at in range(first[k], min(end[k], first[k] + CROWD)):
            seen += lookup.centre[near.near[at], 0] > 0.0
    return seen


@kernel
def _see_postings(lookup: Lookup, cells: Cells, what: tuple[int, int], room: Longs) -> int:
    """The postings of the finest parts. what: which of the upper resolutions, how many pings."""
    (u, count), which, node, first, end, seen = what, room[0], room[1], room[2], room[3], 0
    upper, none = lookup.upper[u], len(lookup.node) - 1
    for k in range(count):
        node[k] = group_slot(lookup.shift, cells[which[k]], upper)
    for k in range(count):
        node[k] = node_of(lookup.group, node[k], place_of(cells[which[k]], upper), none)
    for k in range(count):
        bits, parts = lookup.node[node[k], BITS], lookup.node[node[k], PARTS]
        first[k], end[k] = part_span(bits, parts, lookup.part_ptr, part_of(cells[which[k]], upper))
    for k in range(count):
        if first[k] < end[k]:
            seen += lookup.posting[first[k]]
    return seen
