"""Hash tables in arrays of records that have a field `key`: open addressing, linear probing, at most half full."""

from __future__ import annotations

from typing import Final

import numpy as np

from geo.arrays import Longs
from geo.kernels import fetch, inlined, kernel
from offers.kernels.records import Rows

EMPTY: Final = np.int64(-1)
"""In place of a key; keys are not negative."""
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_DOWN: Final = np.uint64(32)


@inlined
def home(size: int, key: int) -> int:
    """Where in a table of *size* slots, a power of two, a key is looked for first. Fibonacci hashing (Knuth, TAOCP 3,
    6.4)."""
    return int((np.uint64(key) * _MIX) >> _DOWN) & (size - 1)


@inlined
def slot_of(table: Rows, key: int) -> int:
    """Where the key is, or would be."""
    slot = home(len(table), key)
    while table[slot]["key"] != key and table[slot]["key"] != EMPTY:
        slot = (slot + 1) & (len(table) - 1)
    return slot


@inlined
def expect(table: Rows, key: int) -> None:
    """The key will be asked for soon."""
    fetch(table, home(len(table), key))


@kernel
def find(table: Rows, key: int) -> int:
    """`slot_of`, to be asked from outside."""
    return slot_of(table, key)


@kernel
def place(table: Rows, keys: Longs, slots: Longs) -> int:
    """Write the slot of each of *keys*, taking a free one for those not there; how many were new."""
    new = 0
    for i in range(len(keys)):
        slot = slot_of(table, keys[i])
        if table[slot]["key"] == EMPTY:
            table[slot]["key"] = keys[i]
            new += 1
        slots[i] = slot
    return new
