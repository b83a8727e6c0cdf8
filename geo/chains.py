"""Rows by leaf box, and how many of them are in coarser boxes. Kernels only.

Every row knows its leaf box. The rows whose leaves fall into one slot of a hash table are chained, and the coarser
boxes that fall into one slot of another share its count. So nothing is kept for a box, and the memory does not depend
on how people spread: a chain may hold rows of other leaves, which are passed over, and a count is never too low. That
is enough to skip empty boxes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from geo.arrays import Ints, Records
from geo.boxes import COARSER, LEAF, NO_BOX, around, box_of, scattered
from geo.kernels import kernel
from geo.records import NOBODY
from geo.sphere import unit

LINK: Final = np.dtype([("box", "u8"), ("next", "i4"), ("prev", "i4")])
"""One row, 16 bytes: its leaf box or `NO_BOX`; neighbours in its chain or -1."""

_SHORTEST: Final = 8


class Chains(NamedTuple):
    """What kernels write to. 22 to 28 bytes a row in `links`."""

    links: Records
    """LINK[rows]"""
    heads: Ints
    """i4[power of two, at most a slot a row]: first row of the chain or -1."""
    crowd: Ints
    """i4[twice that]: rows in the boxes of all `COARSER` levels that fall into the slot."""


def chains_for(rows: int) -> Chains:
    """With nobody in any of that many rows."""
    slots = 1 << max(_SHORTEST, rows).bit_length() - 1
    return Chains(np.zeros(rows, LINK), np.full(slots, NOBODY, np.int32), np.zeros(2 * slots, np.int32))


@kernel
def follow_all(chains: Chains, customers: Records, rows: Ints) -> int:
    """Move each row to the leaf box of its position in CUSTOMER[]; out where that is NaN. By how many rows that are in
    it grew.
    """
    grown = 0
    for row in rows:
        customer = customers[row]
        grown += move(chains, int(np.int64(row)), box_of(unit(customer["lat"], customer["lng"]), LEAF))
    return grown


@kernel
def relink(chains: Chains, old: Records) -> None:
    """Fill new chains with the rows of LINK[], which are not more."""
    for row in range(len(old)):
        move(chains, row, old[row]["box"])


@kernel
def move(chains: Chains, row: int, box: np.uint64) -> int:
    """Move one row to a leaf box, or out; 1 if it is new, -1 if it is gone, else 0."""
    old = chains.links[row]["box"]
    if old == box:
        return 0
    if old != NO_BOX:
        _unlink(chains, row)
    chains.links[row]["box"] = box
    if box != NO_BOX:
        _link(chains, row)
    _recount(chains, old, box)
    return int(box != NO_BOX) - int(old != NO_BOX)


@kernel
def crowd_in(chains: Chains, box: np.uint64) -> int:
    """How many rows are in a box of a `COARSER` level, or more."""
    return int(chains.crowd[_slot(chains.crowd, box)])


@kernel
def first_row(chains: Chains, leaf: np.uint64) -> int:
    """First row of the chain that holds all rows of a leaf, and perhaps others; or -1."""
    return int(chains.heads[_slot(chains.heads, leaf)])


@kernel
def _slot(table: Ints, box: np.uint64) -> int:
    return int(scattered(box) & np.uint64(len(table) - 1))


@kernel
def _link(chains: Chains, row: int) -> None:
    """Make the row the first of its leaf's chain."""
    link = chains.links[row]
    slot = _slot(chains.heads, link["box"])
    head = chains.heads[slot]
    link["prev"], link["next"] = NOBODY, head
    if head != NOBODY:
        chains.links[head]["prev"] = row
    chains.heads[slot] = row


@kernel
def _unlink(chains: Chains, row: int) -> None:
    """Take the row out of its leaf's chain."""
    link = chains.links[row]
    before, after = link["prev"], link["next"]
    if before != NOBODY:
        chains.links[before]["next"] = after
    else:
        chains.heads[_slot(chains.heads, link["box"])] = after
    if after != NOBODY:
        chains.links[after]["prev"] = before


@kernel
def _recount(chains: Chains, old: np.uint64, new: np.uint64) -> None:
    """Count one row out of the boxes around *old* and into those around *new*, either perhaps `NO_BOX`."""
    for level in COARSER:
        left = around(old, level) if old != NO_BOX else old
        entered = around(new, level) if new != NO_BOX else new
        if left == entered:
            return  # and so are all coarser ones
        if left != NO_BOX:
            chains.crowd[_slot(chains.crowd, left)] -= 1
        if entered != NO_BOX:
            chains.crowd[_slot(chains.crowd, entered)] += 1
