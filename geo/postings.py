"""Covers turned round: cell → fences, inside first, behind one hash table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from geo.arrays import frozen
from geo.cover import Cover
from geo.outline import CIRCLE, SURE, Rims
from geo.table import fill, shift_of, slots_for

_RES_SHIFT = np.uint64(52)


def postings(covers: Sequence[Cover], rims: Sequence[Rims | None]) -> dict[str, Any]:
    """`levels`, `cell_key`, `cell_span`, `posting` and `rim` of `FenceIndex`, for the covers of fences 0..F-1; a
    circle has no rim.
    """
    parts = [(cover.inside, cover.edge) for cover in covers]
    cell = np.concatenate([run for part in parts for run in part] or [np.zeros(0, np.uint64)])
    lengths = [len(run) for part in parts for run in part]
    run_of = np.repeat(
        np.arange(len(lengths), dtype=np.int64), lengths
    )  # run 2f is the inside of fence f, run 2f + 1 its edge
    rows = _rows(run_of, np.array([rim is not None for rim in rims], np.bool_))
    order = np.lexsort((run_of, run_of % 2, cell))
    cell, run_of = cell[order], run_of[order]
    distinct, start, total = np.unique(cell, return_index=True, return_counts=True)
    inside = np.add.reduceat(run_of % 2 == 0, start, dtype=np.int64) if len(start) else start
    key = np.zeros(slots_for(len(distinct)), np.uint64)
    slot = fill(key, shift_of(key), frozen(distinct, np.uint64))
    span = np.zeros((len(key), 3), np.int32)
    span[slot] = np.stack([start, start + inside, start + total], axis=-1)
    return {
        "levels": np.unique((distinct >> _RES_SHIFT) & np.uint64(0xF)).astype(np.int32),
        "cell_key": key,
        "cell_span": span,
        "posting": (run_of // 2).astype(np.int32),
        "rim": rows[order],
    }


def _rows(run_of: Any, drawn: Any) -> Any:
    """i4[N]: edge cells of polygons numbered in the order of fences and cells; CIRCLE or SURE elsewhere."""
    of_polygon, edge = drawn[run_of // 2], run_of % 2 == 1
    rows = np.where(of_polygon, SURE, CIRCLE).astype(np.int32)
    rows[of_polygon & edge] = np.arange((of_polygon & edge).sum())
    return rows


def rims_joined(rims: Sequence[Rims | None], first_chain: Sequence[int]) -> dict[str, Any]:
    """The arrays of `geo.outline.Rims`; first_chain[f]: number of the first chain of fence f."""
    drawn = [(rim, first) for rim, first in zip(rims, first_chain, strict=True) if rim is not None]
    nothing = np.empty(0, np.int32)
    return {
        "near_ptr": _chained([rim.near_ptr for rim, _ in drawn]),
        "near": np.concatenate([nothing, *(rim.near + first for rim, first in drawn)]).astype(np.int32),
        "turn_ptr": _chained([rim.turn_ptr for rim, _ in drawn]),
        "turn_deg": np.concatenate([np.empty(0), *(rim.turn_deg for rim, _ in drawn)]),
    }


def _chained(ptrs: Sequence[Any]) -> Any:
    """One CSR pointer array of several."""
    counts = np.concatenate([np.zeros(1, np.int64), *(np.diff(ptr) for ptr in ptrs)])
    return np.cumsum(counts).astype(np.int32)
