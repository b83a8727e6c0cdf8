"""Covers turned round: cell → fences, for one look into one hash table for every three levels.

A node stands for a cell of an upper level (`UPPER`) that holds anything: postings of its own, or some of its
descendants one or two resolutions down. Which of those is told by 64 bits, so that a point between fences costs one
node and no more. The postings of a node lie together: its own, then those of its parts in the order of their bits.

A part's bit is the number made of its two digits below the node; H3 writes 7 for a digit that is not used, which tells
the seven cells one level down from those two down.

Nodes lie in the order of their cells, and so do their parts and postings: points taken in that order walk through
memory. Which of the 343 descendants three levels down of a cell are nodes is told by 512 bits; those and the place of
the first are a group, and groups stand in the hash table. It is small: one row for up to 343 nodes.
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
BITS, OWN, PARTS = 0, 1, 2
"""Columns of a node."""
_FIRST, _BEFORE, _WORDS = 1, 2, 3
"""Columns of a group beside `KEY`: its first node; how many nodes there are before each word, nine bits each; the seven
words in which bits stand, one for each child of the group's cell.
"""
_COLUMNS = _WORDS + 7
_FIRST_WORD = np.uint64(_WORDS)
_NINE = np.uint64(9)
_APART = 3
_RES_SHIFT = np.uint64(52)
_RES_MASK = np.uint64(0xF)
_DIGITS = 15
_BASE_AND_DIGITS = np.uint64((1 << 52) - 1)
_ONE = np.uint64(1)
_PART_MASK = np.uint64(0x3F)
_PLACE_MASK = np.uint64(0x1FF)
_ONE_DOWN = np.uint64(7)
_COUNT_MASK = np.uint64((1 << 32) - 1)
_WORD = np.uint64(32)
_BEYOND = 2
"""Places behind the last of `part_ptr`, read for a part that is not there."""


def postings(covers: Covers) -> dict[str, Any]:
    """`upper`, `group`, `node`, `part_ptr` and `posting` of `FenceIndex`."""
    key = np.empty(len(covers.cell), np.uint64)
    _keys(frozen(covers.cell, np.uint64), key)
    key |= ~covers.inside  # the lowest bit: inside first
    order = np.argsort(key, kind="stable")  # of fences as they are
    key, cell, fence = frozen(key[order], np.uint64), frozen(covers.cell[order], np.uint64), covers.fence[order]
    groups, nodes, parts = _distinct(key >> np.uint64(17)), _distinct(key >> np.uint64(8)), _distinct(key >> _ONE)
    group, node = table_for(groups, _COLUMNS), np.zeros((nodes + 1, 3), np.uint64)
    part_ptr = np.zeros(nodes + parts + _BEYOND, np.int32)
    used = _lay(key, cell, (group, shift_of(group)), node, part_ptr)
    return {
        "upper": np.unique([res - res % 3 for res in np.unique((cell >> _RES_SHIFT) & _RES_MASK).tolist()]),
        "group": group,
        "node": node,
        "part_ptr": part_ptr[: used + _BEYOND],
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
def _lay(keys: Cells, cells: Cells, table: tuple[Cells, np.uint64], nodes: Cells, part_ptr: Ints) -> int:
    """Fill the groups' table, given with its `shift_of`, the nodes and `part_ptr` from postings in order; how much of
    `part_ptr` is used.
    """
    (groups, shift), used, i, node = table, 0, 0, 0
    while i < len(keys):
        place, start = keys[i] >> np.uint64(8), i
        res = int(np.int64((cells[i] >> _RES_SHIFT) & _RES_MASK))
        _note(groups, shift, cells[i], res - res % 3, node)
        while i < len(keys) and keys[i] >> _ONE == place << np.uint64(7):
            i += 1
        nodes[node, OWN], nodes[node, PARTS] = spanned(start, i), used
        last = np.uint64(0)
        while i < len(keys) and keys[i] >> np.uint64(8) == place:
            part = (keys[i] >> _ONE) & np.uint64(0x7F)
            if part != last:
                nodes[node, BITS] |= _ONE << (part - _ONE)
                part_ptr[used] = i
                used += 1
                last = part
            i += 1
        if last != 0:
            part_ptr[used] = i
            used += 1
        node += 1
    return used


@kernel
def _note(groups: Cells, shift: np.uint64, cell: np.uint64, upper: int, node: int) -> None:
    """Enter the next node, which holds *cell*, into its group."""
    key = ancestor(cell, upper - _APART)
    slot = settled(groups, slot_of(shift, key), key)
    if groups[slot, KEY] == 0:
        groups[slot, KEY], groups[slot, _FIRST] = key, node
    place = place_of(cell, upper)
    word = int(np.int64(place >> np.uint64(6)))
    groups[slot, _WORDS + word] |= _ONE << (place & _PART_MASK)
    for later in range(word + 1, 7):
        groups[slot, _BEFORE] += _ONE << np.uint64(9 * later)


@kernel
def group_of(groups: Cells, shift: np.uint64, cell: np.uint64, upper: int) -> int:
    """Slot of the group of the cell's node at *upper*, or of an empty one."""
    return settled(groups, group_slot(shift, cell, upper), ancestor(cell, upper - _APART))


@kernel
def group_slot(shift: np.uint64, cell: np.uint64, upper: int) -> int:
    """Where that group stands, unless others were there before."""
    return slot_of(shift, ancestor(cell, upper - _APART))


@kernel
def place_of(cell: np.uint64, upper: int) -> np.uint64:
    """Number, below 512, of the node at *upper* that a cell is, or is in, within its group: its last three digits."""
    return np.uint64((cell >> np.uint64(3 * (_DIGITS - upper))) & _PLACE_MASK)


@kernel
def node_of(groups: Cells, slot: int, place: np.uint64, none: int) -> np.uint64:
    """Where the node stands; *none*, the place of the empty one behind the last, if it is not there."""
    row, word, bit = np.uint64(slot), place >> np.uint64(6), place & _PART_MASK
    bits, before = groups[row, _FIRST_WORD + word], (groups[row, _BEFORE] >> (_NINE * word)) & _PLACE_MASK
    node = groups[row, _FIRST] + before + ones(bits & ((_ONE << bit) - _ONE))
    return np.uint64(node if (bits >> bit) & _ONE else np.uint64(none))


@kernel
def ones(bits: np.uint64) -> np.uint64:
    """How many bits are set (Warren, Hacker's Delight, 5-1)."""
    bits = bits - ((bits >> _ONE) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.uint64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


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
def part_span(bits: np.uint64, parts: np.uint64, part_ptr: Ints, part: np.uint64) -> tuple[int, int]:
    """(first, end) of the postings of a part of a node, given that one's columns."""
    at = parts + ones(bits & ((_ONE << part) - _ONE))
    first, there = int(part_ptr[at]), int(np.int64((bits >> part) & _ONE))
    return first, first + there * (int(part_ptr[at + _ONE]) - first)  # a branch would often be foretold wrongly
