"""Covers turned round: cell → fences, for one look into one hash table for every three levels.

A node stands for a cell of an upper level (`UPPER`) that holds anything: postings of its own, or some of its
descendants one or two resolutions down. Which of those is told by 64 bits, so that a point between fences costs one
node and no more. The postings of a node lie together: its own, then those of its parts in the order of their bits.

A part's bit is the number made of its two digits below the node; H3 writes 7 for a digit that is not used, which tells
the seven cells one level down from those two down.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from geo.arrays import Cells, Ints, frozen
from geo.cells import ancestor
from geo.cover import Covers
from geo.kernels import kernel
from geo.table import KEY, settled, shift_of, slot_of, table_for

UPPER = (3, 6, 9)
RUNS = 3
"""Of postings that a point has to do with in a node: the node's own, a part's one level down, a part's two down."""
BITS, OWN, PARTS = 1, 2, 3
"""Columns of a node beside `KEY`."""
_RES_SHIFT = np.uint64(52)
_RES_MASK = np.uint64(0xF)
_DIGITS = 15
_BASE_AND_DIGITS = np.uint64((1 << 52) - 1)
_ONE = np.uint64(1)
_PART_MASK = np.uint64(0x3F)
_ONE_DOWN = np.uint64(7)
_COUNT_MASK = np.uint64((1 << 32) - 1)
_WORD = np.uint64(32)


def postings(covers: Covers) -> dict[str, Any]:
    """`upper`, `node`, `part_ptr` and `posting` of `FenceIndex`."""
    key = np.empty(len(covers.cell), np.uint64)
    _keys(frozen(covers.cell, np.uint64), key)
    key |= ~covers.inside  # the lowest bit: inside first
    order = np.argsort(key, kind="stable")  # of fences as they are
    key, cell, fence = frozen(key[order], np.uint64), frozen(covers.cell[order], np.uint64), covers.fence[order]
    nodes, parts = _distinct(key >> np.uint64(8)), _distinct(key >> _ONE)
    node, part_ptr = table_for(nodes, 4), np.zeros(nodes + parts, np.int32)
    used = _lay(key, cell, node, shift_of(node), part_ptr)
    return {
        "upper": np.unique([res - res % 3 for res in np.unique((cell >> _RES_SHIFT) & _RES_MASK).tolist()]),
        "node": node,
        "part_ptr": part_ptr[:used],
        "posting": np.where(key & _ONE, fence, ~fence),
    }


def _distinct(ascending: Cells) -> int:
    return int(np.count_nonzero(ascending[1:] != ascending[:-1])) + bool(len(ascending))


@kernel
def part_of(cell: np.uint64, upper: int) -> np.uint64:
    """Number, below 64, of the part of the node at *upper* that a cell below it is, or is in, two levels down."""
    return np.uint64((cell >> np.uint64(3 * (_DIGITS - 2 - upper))) & _PART_MASK)


@kernel
def one_down(part: np.uint64) -> np.uint64:
    """The part one level down that holds this one."""
    return np.uint64(part | _ONE_DOWN)


@kernel
def _keys(cells: Cells, keys: Cells) -> None:
    """Numbers that order cells by node, then its own before its parts, with the lowest bit free."""
    for i in range(len(cells)):
        res = int(np.int64((cells[i] >> _RES_SHIFT) & _RES_MASK))
        upper = res - res % 3
        place = (cells[i] & _BASE_AND_DIGITS) >> np.uint64(3 * (_DIGITS - upper))  # base cell and digits down to upper
        part = _ONE + part_of(cells[i], upper) if res > upper else np.uint64(0)
        keys[i] = (np.uint64(upper) << np.uint64(58)) | (place << np.uint64(8)) | (part << _ONE)


@kernel
def _lay(keys: Cells, cells: Cells, nodes: Cells, shift: np.uint64, part_ptr: Ints) -> int:
    """Fill the table and `part_ptr` from postings in order; how much of `part_ptr` is used."""
    used, i = 0, 0
    while i < len(keys):
        place, start = keys[i] >> np.uint64(8), i
        res = int(np.int64((cells[i] >> _RES_SHIFT) & _RES_MASK))
        upper = res - res % 3
        key = ancestor(cells[i], upper)
        slot = settled(nodes, slot_of(shift, key), key)
        while i < len(keys) and keys[i] >> _ONE == place << np.uint64(7):
            i += 1
        nodes[slot, KEY], nodes[slot, PARTS] = key, used
        nodes[slot, OWN] = spanned(start, i)
        last = np.uint64(0)
        while i < len(keys) and keys[i] >> np.uint64(8) == place:
            part = (keys[i] >> _ONE) & np.uint64(0x7F)
            if part != last:
                nodes[slot, BITS] |= _ONE << (part - _ONE)
                part_ptr[used] = i
                used += 1
                last = part
            i += 1
        if last != 0:
            part_ptr[used] = i
            used += 1
    return used


@kernel
def ones(bits: np.uint64) -> int:
    """How many bits are set (Warren, Hacker's Delight, 5-1)."""
    bits = bits - ((bits >> _ONE) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int(np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56)))


@kernel
def spanned(first: int, end: int) -> np.uint64:
    """A run as one number; `span_of` takes it back."""
    return np.uint64((np.uint64(first) << _WORD) | np.uint64(end - first))


@kernel
def span_of(own: np.uint64) -> tuple[int, int]:
    """(first, end) of a run."""
    first = int(np.int64(own >> _WORD))
    return first, first + int(np.int64(own & _COUNT_MASK))


@kernel
def part_span(nodes: Cells, part_ptr: Ints, slot: int, part: np.uint64) -> tuple[int, int]:
    """(first, end) of the postings of a part of a node."""
    bits, bit = nodes[slot, BITS], _ONE << part
    if bits & bit == 0:
        return 0, 0
    at = int(np.int64(nodes[slot, PARTS])) + ones(bits & (bit - _ONE))
    return int(part_ptr[at]), int(part_ptr[at + 1])
