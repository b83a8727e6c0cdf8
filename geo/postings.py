"""Covers turned round: cell → fences, for one look into one hash table for every three levels.

A node stands for a cell of an upper level (`UPPER`) that holds anything: postings of its own, or some of its
descendants one or two resolutions down, or that edges of fences come near (`geo.near`). Which descendants is told by 64
bits, so that a point between fences costs one node and no more.

All that a node leads to lies together in one array, its block: where the postings of each part begin, and where those
of the last one end; its own postings; those of its parts in the order of their bits; the fences whose edges come near.

A part's bit is the number made of its two digits below the node; H3 writes 7 for a digit that is not used, which tells
the seven cells one level down from those two down.

Nodes lie in the order of their cells, and so do their blocks: points taken in that order walk through memory. Which of
the 343 descendants three levels down of a cell are nodes is told by 512 bits; those and the place of the first are a
group, and groups stand in the hash table. It is small: one row for up to 343 nodes.
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
BITS, OWN, PARTS, NEAR = 0, 1, 2, 3
"""Columns of a node."""
FIRST, _BEFORE, WORDS = 1, 2, 3
"""Columns of a group beside `KEY`: its first node; how many nodes there are before each word, nine bits each; the seven
words in which bits stand, one for each child of the group's cell.
"""
_COLUMNS = WORDS + 7
_FIRST_WORD = np.uint64(WORDS)
_NINE = np.uint64(9)
_APART = 3
_CELL = np.uint64(1 << 59)
"""The bit that says that an H3 index is a cell."""
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
"""Places behind the last block, read for a part that is not there."""
_KEY_PART = np.uint64(0x7F)
_UPPER_AT = np.uint64(58)
KEY_NEAR = np.uint64(0x7F)
"""In a key in place of a part's number, behind all of them."""


def postings(covers: Covers, near: Covers) -> dict[str, Any]:
    """`upper`, `group`, `node` and `posting` of `FenceIndex`. near: of `geo.near`, cells of `UPPER`."""
    cell = frozen(np.concatenate([covers.cell, near.cell]), np.uint64)
    key = np.empty(len(cell), np.uint64)
    _keys(cell, key)
    key |= np.concatenate([~covers.inside, np.ones(len(near.cell), np.bool_)])  # the lowest bit: inside first
    key[len(covers.cell) :] |= KEY_NEAR << _ONE
    order = np.argsort(key, kind="stable")  # of fences as they are
    fence = np.concatenate([np.where(covers.inside, ~covers.fence, covers.fence), near.fence])
    return laid(key[order], fence[order])


def laid(key: Cells, fence: Ints) -> dict[str, Any]:
    """The same from every posting's key (`_keys`) and r or ~r; ascending by key, then by rank."""
    key = frozen(key, np.uint64)
    groups, nodes, parts = _distinct(key >> np.uint64(17)), _distinct(key >> np.uint64(8)), _distinct(key >> _ONE)
    group, node = table_for(groups, _COLUMNS), np.zeros((nodes + 1, 4), np.uint64)
    posting = np.zeros(len(key) + nodes + parts + _BEYOND, np.int32)
    used = _lay(key, frozen(fence, np.int32), (group, shift_of(group)), node, posting)
    bounds = np.searchsorted(key >> _UPPER_AT, np.arange(UPPER[-1] + 2))
    return {
        "upper": [upper for upper in UPPER if bounds[upper] < bounds[upper + 1]],
        "group": group,
        "node": node,
        "posting": posting[: used + _BEYOND],
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
        keys[i] = (np.uint64(upper) << _UPPER_AT) | (place << np.uint64(8)) | (part << _ONE)


@kernel
def _lay(keys: Cells, fences: Ints, table: tuple[Cells, np.uint64], nodes: Cells, block: Ints) -> int:
    """Fill the groups' table, given with its `shift_of`, the nodes and their blocks from keys and postings in order;
    how much of *block* is used.
    """
    (groups, shift), used, i, node = table, 0, 0, 0
    while i < len(keys):
        start, end = i, _end(keys, i, np.uint64(8))
        _note(groups, shift, keys[start], node)
        parts, pointer = _parts(keys, start, end), used
        nodes[node, PARTS] = pointer
        used += parts + (parts > 0)
        while i < end:
            part, first = (keys[i] >> _ONE) & _KEY_PART, used
            for k in range(i, _end(keys, i, _ONE)):
                block[used] = fences[k]
                used += 1
            i = _end(keys, i, _ONE)
            if part == 0:
                nodes[node, OWN] = spanned(first, used)
            elif part == KEY_NEAR:
                nodes[node, NEAR] = spanned(first, used)
            else:
                nodes[node, BITS] |= _ONE << (part - _ONE)
                block[pointer], block[pointer + 1] = first, used
                pointer += 1
        node += 1
    return used


@kernel
def _cell(key: np.uint64, upper: int) -> np.uint64:
    """The cell of the key's node, which is at *upper*."""
    below = np.uint64(3 * (_DIGITS - upper))
    place = (key & ((_ONE << _UPPER_AT) - _ONE)) >> np.uint64(8)
    return np.uint64(_CELL | (np.uint64(upper) << _RES_SHIFT) | (place << below) | ((_ONE << below) - _ONE))


@kernel
def key_at(group: np.uint64, place: np.uint64) -> np.uint64:
    """The least key of the node that has this place in the group of that cell."""
    upper = ((group >> _RES_SHIFT) & _RES_MASK) + np.uint64(_APART)
    above = (group & _BASE_AND_DIGITS) >> (np.uint64(3) * (np.uint64(_DIGITS + _APART) - upper))
    return np.uint64((upper << _UPPER_AT) | (((above << _NINE) | place) << np.uint64(8)))


@kernel
def _end(keys: Cells, start: int, shift: np.uint64) -> int:
    """Where the keys end that are the same as that at *start*, but for the lowest *shift* bits."""
    end = start
    while end < len(keys) and keys[end] >> shift == keys[start] >> shift:
        end += 1
    return end


@kernel
def _parts(keys: Cells, start: int, end: int) -> int:
    """How many parts of one node the keys are of."""
    parts, last = 0, np.uint64(0)
    for k in range(start, end):
        part = (keys[k] >> _ONE) & _KEY_PART
        parts += (part != last) & (part != KEY_NEAR)
        last = part
    return parts


@kernel
def _note(groups: Cells, shift: np.uint64, first: np.uint64, node: int) -> None:
    """Enter the next node, which *first* is a key of, into its group."""
    upper = int(np.int64(first >> _UPPER_AT))
    cell = _cell(first, upper)
    key = ancestor(cell, upper - _APART)
    slot = settled(groups, slot_of(shift, key), key)
    if groups[slot, KEY] == 0:
        groups[slot, KEY], groups[slot, FIRST] = key, node
    place = place_of(cell, upper)
    word = int(np.int64(place >> np.uint64(6)))
    groups[slot, WORDS + word] |= _ONE << (place & _PART_MASK)
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
    node = groups[row, FIRST] + before + ones(bits & ((_ONE << bit) - _ONE))
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
def part_span(bits: np.uint64, parts: np.uint64, posting: Ints, part: np.uint64) -> tuple[int, int]:
    """(first, end) of the postings of a part of a node, given that one's columns; (0, 0) of a part not there."""
    at, there = parts + ones(bits & ((_ONE << part) - _ONE)), int(np.int64((bits >> part) & _ONE))
    return there * int(posting[at]), there * int(posting[at + _ONE])  # a branch would often be foretold wrongly
