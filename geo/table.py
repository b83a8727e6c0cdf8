"""An open-addressing hash table of cells: keys in a power-of-two array, 0 where empty, linear probing, at
most half full.
"""

from __future__ import annotations

import numpy as np

from geo.arrays import Cells, Ints
from geo.kernels import kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 / golden ratio (Knuth, TAOCP 3, 6.4): the top bits of the product depend on every bit of the cell."""


def slots_for(cells: int) -> int:
    """Length of the table for that many cells: a power of two, at least 8."""
    return 1 << max(3, (2 * cells - 1).bit_length())


def shift_of(keys: Cells) -> np.uint64:
    """How far `find` shifts the product for this table."""
    return np.uint64(64 - (len(keys).bit_length() - 1))


@kernel
def find(keys: Cells, shift: np.uint64, cell: np.uint64) -> int:
    """Slot of *cell*, or -1."""
    mask = len(keys) - 1
    slot = np.int64((cell * _GOLDEN) >> shift)
    while keys[slot] != 0:
        if keys[slot] == cell:
            return int(slot)
        slot = (slot + 1) & mask
    return -1


@kernel
def fill(keys: Cells, shift: np.uint64, cells: Cells) -> Ints:
    """Insert distinct *cells* in their order into the empty table *keys*; i4[n], the slot of each."""
    mask = len(keys) - 1
    slots = np.empty(len(cells), np.int32)
    for i in range(len(cells)):
        slot = np.int64((cells[i] * _GOLDEN) >> shift)
        while keys[slot] != 0:
            slot = (slot + 1) & mask
        keys[slot] = cells[i]
        slots[i] = slot
    return slots
