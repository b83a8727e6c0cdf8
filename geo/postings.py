"""Covers turned round: cell → fences, for one look into one hash table for every two levels.

A node stands for a cell of an upper level (`UPPER`: res 5 or 9) that holds anything: postings of its own, or some of
its descendants two resolutions down. Which of those is told by 64 bits, so that a point between fences costs one node
and no more. The postings of a node lie together: its own, then those of its parts in the order of their bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from geo.arrays import Cells, Flags, Ints, frozen
from geo.cells import ancestor
from geo.cover import Cover
from geo.kernels import kernel
from geo.outline import CIRCLE, SURE, Rims
from geo.table import KEY, settled, shift_of, slot_of, table_for

UPPER = (5, 9)
BITS, OWN, PARTS = 1, 2, 3
"""Columns of a node beside `KEY`."""
_DOWN = 2
_RES_SHIFT = np.uint64(52)
_RES_MASK = np.uint64(0xF)
_DIGITS = 15
_BASE_AND_DIGITS = np.uint64((1 << 52) - 1)
_ONE = np.uint64(1)
_PART_MASK = np.uint64(0x3F)
_COUNT_MASK = np.uint64((1 << 32) - 1)
_WORD = np.uint64(32)


class Covering(NamedTuple):
    """The covers of fences 0..F-1, one row for each cell of each."""

    cell: Cells
    """u8[N]: of the resolutions of `UPPER` and two below them."""
    fence: Ints
    """i4[N]: ascending."""
    inside: Flags
    """bool[N]: every point of the cell is in the fence."""


def postings(covering: Covering, rows: Ints) -> dict[str, Any]:
    """`upper`, `node`, `part_ptr`, `posting` and `rim` of `FenceIndex`; rows i4[N]: each posting's `rim`."""
    cell, fence = frozen(covering.cell, np.uint64), frozen(covering.fence, np.int32)
    key = np.empty(len(cell), np.uint64)
    _keys(cell, key)
    key |= ~np.asarray(covering.inside, np.bool_)  # the lowest bit: inside first
    order = np.argsort(key, kind="stable")
    key, cell, fence = frozen(key[order], np.uint64), frozen(cell[order], np.uint64), fence[order]
    nodes, parts = _distinct(key >> np.uint64(8)), _distinct(key >> _ONE)
    node, part_ptr = table_for(nodes, 4), np.zeros(nodes + parts, np.int32)
    used = _lay(key, cell, node, shift_of(node), part_ptr)
    res = np.unique((cell >> _RES_SHIFT) & _RES_MASK)
    return {
        "upper": np.array([up for up in UPPER if np.isin(res, (up, up + _DOWN)).any()], np.int32),
        "node": node,
        "part_ptr": part_ptr[:used],
        "posting": np.where(key & _ONE, fence, ~fence),
        "rim": rows[order],
    }


def flat(covers: Sequence[Cover]) -> Covering:
    """The covers of fences 0..F-1 in one."""
    parts = [part for cover in covers for part in (cover.inside, cover.edge)]
    cell = np.concatenate([*parts, np.empty(0, np.uint64)])
    run = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return Covering(cell, (run // 2).astype(np.int32), run % 2 == 0)


def rim_rows(covering: Covering, drawn: Flags) -> Ints:
    """i4[N]: edge cells of polygons numbered in the order of fences and cells; CIRCLE or SURE elsewhere."""
    rim = drawn[covering.fence] & ~covering.inside
    rows = np.where(drawn[covering.fence], SURE, CIRCLE).astype(np.int32)
    rows[rim] = np.arange(rim.sum())
    return rows


def rims_joined(rims: Sequence[Rims | None], first_chain: Sequence[int]) -> dict[str, Any]:
    """The arrays of `geo.outline.Rims`; first_chain[f]: number of the first chain of fence f."""
    drawn = [(rim, first) for rim, first in zip(rims, first_chain, strict=True) if rim is not None]
    nothing = np.empty(0, np.int32)
    return {
        "near_ptr": _chained([rim.near_ptr for rim, _ in drawn]),
        "rim_near": np.concatenate([nothing, *(rim.near + first for rim, first in drawn)]).astype(np.int32),
        "turn_ptr": _chained([rim.turn_ptr for rim, _ in drawn]),
        "turn_deg": np.concatenate([np.empty(0), *(rim.turn_deg for rim, _ in drawn)]),
    }


def _chained(ptrs: Sequence[Any]) -> Any:
    """One CSR pointer array of several."""
    counts = np.concatenate([np.zeros(1, np.int64), *(np.diff(ptr) for ptr in ptrs)])
    return np.cumsum(counts).astype(np.int32)


def _distinct(ascending: Cells) -> int:
    return int(np.count_nonzero(ascending[1:] != ascending[:-1])) + bool(len(ascending))


@kernel
def upper_of(res: int) -> int:
    """The resolution of the node that a cell of this resolution belongs to."""
    return 5 if res < 9 else 9


@kernel
def part_of(cell: np.uint64, upper: int) -> np.uint64:
    """Number, below 64, of the descendant of the node at *upper* that holds a cell two levels or more below."""
    return np.uint64((cell >> np.uint64(3 * (_DIGITS - _DOWN - upper))) & _PART_MASK)


@kernel
def _keys(cells: Cells, keys: Cells) -> None:
    """Numbers that order cells by node, then its own before its parts, with the lowest bit free."""
    for i in range(len(cells)):
        res = int(np.int64((cells[i] >> _RES_SHIFT) & _RES_MASK))
        upper = upper_of(res)
        place = (cells[i] & _BASE_AND_DIGITS) >> np.uint64(3 * (_DIGITS - upper))  # base cell and digits down to upper
        part = _ONE + part_of(cells[i], upper) if res > upper else np.uint64(0)
        level = np.uint64(0) if upper < 8 else np.uint64(1 << 62)
        keys[i] = level | (place << np.uint64(8)) | (part << _ONE)


@kernel
def _lay(keys: Cells, cells: Cells, nodes: Cells, shift: np.uint64, part_ptr: Ints) -> int:
    """Fill the table and `part_ptr` from postings in order; how much of `part_ptr` is used."""
    used, i = 0, 0
    while i < len(keys):
        place, start = keys[i] >> np.uint64(8), i
        upper = upper_of(int(np.int64((cells[i] >> _RES_SHIFT) & _RES_MASK)))
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
