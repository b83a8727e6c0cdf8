"""Points near each other together: an order in which memory is met again while it is still near the processor."""

from __future__ import annotations

from typing import Final

import numpy as np

from geo.arrays import Cells, Ints
from geo.kernels import kernel

_BITS: Final = 15
"""Sorted by at a time: so many counts fit into the second cache."""
_TURNS: Final = 2
_PLACE: Final = np.uint64((1 << 52) - 1)
_LEAF_DIGITS: Final = np.uint64(12)


def together(cells: Cells) -> Ints:
    """i4[n]: places of u8[n] leaf cells in the order of their ancestors, as fine as 30 bits tell apart. `NO_CELL` may
    be among them.
    """
    key, order, before = np.empty(len(cells), np.int32), np.empty(len(cells), np.int32), np.empty(len(cells), np.int32)
    ends = np.zeros((_TURNS, (1 << _BITS) + 1), np.int32)
    _count(cells, key, ends)
    _sort(key, ends, before, order)
    return order


@kernel
def _count(cells: Cells, key: Ints, ends: Ints) -> None:
    """Write what is sorted by, and where in each turn the places of one value begin, but for the first."""
    least, most = _PLACE, np.uint64(0)
    for i in range(len(cells)):
        place = (cells[i] & _PLACE) >> _LEAF_DIGITS
        least = place if (place < least) & (place != 0) else least
        most = place if place > most else most
    shift, wide = np.uint64(0), np.uint64(1) << np.uint64(_TURNS * _BITS)
    while (most - min(least, most)) >> shift >= wide:
        shift += np.uint64(1)
    mask = np.uint64((1 << _BITS) - 1)
    for i in range(len(cells)):
        place = (cells[i] & _PLACE) >> _LEAF_DIGITS
        value = (place - min(least, place)) >> shift
        key[i] = np.int64(value)
        ends[0, (value & mask) + np.uint64(1)] += 1
        ends[1, (value >> np.uint64(_BITS)) + np.uint64(1)] += 1
    for turn in range(_TURNS):
        for value in range(1, 1 << _BITS):
            ends[turn, value] += ends[turn, value - 1]


@kernel
def _sort(key: Ints, ends: Ints, before: Ints, order: Ints) -> None:
    """Both turns of a radix sort, stable; *ends* is of no use afterwards."""
    low, high, mask = ends[0], ends[1], np.uint64((1 << _BITS) - 1)
    for i in range(len(key)):
        value = np.uint64(key[i]) & mask
        before[low[value]] = i
        low[value] += 1
    for i in range(len(key)):
        point = np.uint64(before[i])
        value = np.uint64(key[point]) >> np.uint64(_BITS)
        order[high[value]] = before[i]
        high[value] += 1
