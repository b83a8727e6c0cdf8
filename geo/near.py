"""Which fences' edges may lie near a cell: what a safe region is measured against.

For each cell of a resolution (res 9; for great fences res 7) the fences whose edge may come within `SIGHT_M` of a
point of the cell. May over-include, never under-includes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from geo.arrays import Cells, Longs, frozen
from geo.cells import cell_at, centres, disk, is_pentagon
from geo.cover import PENTAGON, SPREAD, STEP, size_m
from geo.kernels import kernel
from geo.postings import spanned
from geo.sphere import distance_m
from geo.table import KEY, settled, shift_of, slot_of, table_for

SIGHT_M = 150.0
"""A safe region reaches no farther."""
_GREAT_M = 700.0
_FINE, _COARSE = 9, 7
LIST = 1
"""Column of `Near.near_cell` beside `KEY`."""


def near_cells(lat: float, lng: float, reach_m: float, hollow_m: float) -> Cells:
    """u8[m]: cells with points at most SIGHT_M farther than *reach_m* from (lat, lng), less those that lie deeper than
    SIGHT_M in the circle of *hollow_m*, which has no edge within.
    """
    middle = cell_at(lat, lng, _FINE if reach_m <= _GREAT_M else _COARSE)
    wide_m = size_m(middle)
    spread_m = wide_m * SPREAD * (PENTAGON if is_pentagon(middle) else 1.0)
    cells = disk(middle, int((reach_m + SIGHT_M + 2.0 * spread_m) / (STEP * wide_m)))
    away_m = distance_m(*centres(cells), lat, lng)
    return cells[(away_m <= reach_m + SIGHT_M + spread_m) & (away_m >= hollow_m - SIGHT_M - spread_m)]


def near_lists(cells: Sequence[Cells]) -> dict[str, Any]:
    """The arrays of `geo.index.Near` from the cells of fences 0..F-1."""
    cell = np.concatenate([np.empty(0, np.uint64), *cells])
    fence = np.repeat(np.arange(len(cells)), [len(one) for one in cells]).astype(np.int32)
    order = np.argsort(cell, kind="stable")
    cell = cell[order]
    start = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]])) if len(cell) else np.empty(0, np.int64)
    table = table_for(len(start), 2)
    _list(table, shift_of(table), frozen(cell[start], np.uint64), frozen(np.append(start, len(cell)), np.int64))
    res = np.unique((cell >> np.uint64(52)) & np.uint64(0xF))
    return {"near_res": res.astype(np.int32), "near_cell": table, "near": fence[order]}


@kernel
def _list(table: Cells, shift: np.uint64, cells: Cells, starts: Longs) -> None:
    for i in range(len(cells)):
        slot = settled(table, slot_of(shift, cells[i]), cells[i])
        table[slot, KEY], table[slot, LIST] = cells[i], spanned(starts[i], starts[i + 1])
