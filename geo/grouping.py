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
    place = (cells & _PLACE) >> _LEAF_DIGITS
    known = place[cells != 0]
    least, most = (known.min(), int(known.max())) if len(known) else (np.uint64(0), 0)
    place -= np.minimum(place, least)
    shift = max(0, (most - int(least)).bit_length() - _TURNS * _BITS)
    order = np.arange(len(cells), dtype=np.int32)
    for turn in range(_TURNS):
        sorted_order = np.empty(len(cells), np.int32)
        _sort(place, np.uint64(shift + turn * _BITS), np.zeros((1 << _BITS) + 1, np.int32), order, sorted_order)
        order = sorted_order
    return order


@kernel
def _sort(place: Cells, shift: np.uint64, ends: Ints, before: Ints, after: Ints) -> None:
    """One turn of a radix sort, stable, by 15 bits; *ends* is empty at first, and of no use afterwards."""
    mask = np.uint64(len(ends) - 2)
    for i in range(len(place)):
        ends[((place[i] >> shift) & mask) + np.uint64(1)] += 1
    for bucket in range(1, len(ends)):
        ends[bucket] += ends[bucket - 1]
    for i in range(len(place)):
        point = before[i]
        bucket = (place[point] >> shift) & mask
        after[ends[bucket]] = point
        ends[bucket] += 1
