"""An open-addressing hash table of cells: nodes in a power-of-two array, key 0 where empty, linear probing, at most
three quarters full.

A node is a row of two or four numbers, so that one line of the processor's cache answers for it.
"""

from __future__ import annotations

import numpy as np

from geo.arrays import Cells
from geo.kernels import kernel

KEY = 0
"""Column of the cell; what the others hold is the owner's."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 / golden ratio (Knuth, TAOCP 3, 6.4): the top bits of the product depend on every bit of the cell."""


def table_for(cells: int, columns: int) -> Cells:
    """u8[H, columns]: an empty table for that many cells; H is a power of two, at least 8."""
    return np.zeros((1 << max(3, (4 * cells // 3).bit_length()), columns), np.uint64)


def shift_of(nodes: Cells) -> np.uint64:
    """How far `slot_of` shifts the product for this table."""
    return np.uint64(64 - (len(nodes).bit_length() - 1))


@kernel
def slot_of(shift: np.uint64, cell: np.uint64) -> int:
    """Where the cell's node stands, unless others were there before: cells with the same parent side by side, so that
    points near each other find their nodes near each other.
    """
    res = (cell >> np.uint64(52)) & np.uint64(0xF)
    digit_at = np.uint64(3) * (np.uint64(15) - res)
    siblings = cell | (np.uint64(7) << digit_at)
    return int(np.int64((((siblings * _GOLDEN) >> shift) & ~np.uint64(7)) | ((cell >> digit_at) & np.uint64(7))))


@kernel
def settled(nodes: Cells, slot: int, cell: np.uint64) -> int:
    """From *slot* on, the slot of the cell's node, or of the empty one where it would be."""
    mask = len(nodes) - 1
    while nodes[slot, KEY] != cell and nodes[slot, KEY] != 0:
        slot = (slot + 1) & mask
    return slot
