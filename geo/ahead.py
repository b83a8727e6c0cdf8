"""What the turns of many pings will read, fetched for all of them at once. Kernels only.

A turn reads one thing after the other: the group of a node, the node, its block, the fences in it. Among very many
fences each of these is far from the processor, and a turn waits for all of them. Here a step does the same for all
pings of a block, and asks for what the next step reads, so that it is there by then. Nothing is decided; where two keys
have the same slot, the wrong thing is fetched, and the turn fetches the right one.
"""

from __future__ import annotations

from typing import Final

from geo.arrays import Cells, Longs, Records
from geo.index import IndexArrays, Lookup
from geo.kernels import constant, fetch, inlined, kernel
from geo.leaves import ASK
from geo.postings import NEAR, PARTS, group_slot, node_of, place_of, span_of
from geo.records import NOBODY, Work
from geo.safe import CROWD

BLOCK: Final = constant(256)
ROWS: Final = 5
_FEW: Final = 4
"""Fewer pings are not worth it."""


@kernel
def look_ahead(
    work: Work, index: IndexArrays, pings: Records, cells: Cells, span: tuple[int, int], room: Longs
) -> None:
    """Fetch what the pings of a span, `BLOCK` at most, will need. cells: their leaves, with none above `ASK` for pings
    that need nothing. room: i8[ROWS, BLOCK], overwritten.
    """
    which, count = room[0], 0
    if span[1] - span[0] < _FEW:
        return
    for i in range(span[0], span[1]):
        which[count] = i
        count += cells[i] > ASK
    visits = _visits(work, pings, count, room)
    for u in range(len(index.lookup.upper)):
        _nodes(index.lookup, cells, (u, count), room)
        if u == 0:
            _fences(work, index, visits, room)
        _blocks(index.lookup, count, room)
        if u == 0:
            _middles(index, visits, room)
        _near(index.lookup, count, room)


@inlined
def _visits(work: Work, pings: Records, count: int, room: Longs) -> int:
    """Write the customers' first visits; how many have one."""
    which, visit, visits = room[0], room[1], 0
    for k in range(count):
        visit[visits] = work.customers[pings[which[k]]["row"]]["head"]
        fetch(work.visits, visit[visits])
        visits += visit[visits] != NOBODY
    return visits


@inlined
def _fences(work: Work, index: IndexArrays, visits: int, room: Longs) -> None:
    """From visits to their fences."""
    fence = room[1]
    for k in range(visits):
        fence[k] = work.visits[fence[k]]["fence"]
        fetch(index.lookup.rank, fence[k])
        fetch(index.radius_m, fence[k])
        fetch(index.reach_m, fence[k])
        fetch(index.dwells.dwell_ptr, fence[k])


@inlined
def _middles(index: IndexArrays, visits: int, room: Longs) -> None:
    """From fences to their middles."""
    fence = room[1]
    for k in range(visits):
        rank = index.lookup.rank[fence[k]]
        fetch(index.lookup.centre, rank)
        fetch(index.outlines.chain_ptr, rank)


@inlined
def _nodes(lookup: Lookup, cells: Cells, what: tuple[int, int], room: Longs) -> None:
    """Write the nodes. what: which of the upper resolutions, how many pings."""
    (u, count), which, node = what, room[0], room[2]
    upper, none = lookup.upper[u], len(lookup.node) - 1
    for k in range(count):
        node[k] = group_slot(lookup.shift, cells[which[k]], upper)
        fetch(lookup.group, node[k])
    for k in range(count):
        node[k] = node_of(lookup.group, node[k], place_of(cells[which[k]], upper), none)
        fetch(lookup.node, node[k])


@inlined
def _blocks(lookup: Lookup, count: int, room: Longs) -> None:
    """From nodes to what comes near; the blocks begin some lines before."""
    node, first, end = room[2], room[3], room[4]
    for k in range(count):
        first[k], end[k] = span_of(lookup.node[node[k], NEAR])
        fetch(lookup.posting, lookup.node[node[k], PARTS])
        fetch(lookup.posting, first[k])


@inlined
def _near(lookup: Lookup, count: int, room: Longs) -> None:
    """From what comes near to its middles."""
    first, end = room[3], room[4]
    for k in range(count):
        for at in range(first[k], min(end[k], first[k] + CROWD)):
            fetch(lookup.centre, lookup.posting[at])
            fetch(lookup.order, lookup.posting[at])
