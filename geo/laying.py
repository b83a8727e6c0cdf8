"""Laying the cells of fences one after the other: at which resolution, and the arrays written to. Kernels only."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from geo.arrays import Cells, Floats, Ints, frozen
from geo.kernels import allocating, constant, kernel
from geo.lattice import Vector, around, most
from geo.leaves import LEAF_RES, Grid
from geo.visits import roomy

_LARGEST_M: Final = frozen([80.0, 500.0, 1_323.0, 3_500.0, 9_260.0, 24_500.0, math.inf], np.float64)
"""Radius up to which a resolution is used, from the leaves on: by √7 each, but for the leaves."""
COARSEST: Final = constant(LEAF_RES - len(_LARGEST_M) + 1)
LEVELS: Final = tuple(range(int(COARSEST), LEAF_RES + 1))
"""Resolutions a cover may be laid at."""
EDGE_BIT: Final = np.uint64(1 << 63)
"""No cell has this bit: set in edge cells, it sorts them behind the inside ones."""


class Laid(NamedTuple):
    """Cells of fences, as far as laid. Arrays are longer than what is in them."""

    key: Cells
    """u8[]: cells, `EDGE_BIT` set in edge cells."""
    fence: Ints
    """i4[]: whose."""


class Near(NamedTuple):
    """Cells of one resolution around a point, and their centres as unit vectors. Arrays are longer, as above."""

    cells: Cells
    xyz: Floats


@allocating
def begin() -> tuple[Laid, Near]:
    """Nothing laid yet."""
    laid = Laid(np.empty(1024, np.uint64), np.empty(1024, np.int32))
    return laid, Near(np.empty(128, np.uint64), np.empty((128, 3), np.float64))


@kernel
def level(radius_m: float) -> int:
    """The resolution that covers of this radius are laid at."""
    coarser = 0
    while radius_m > _LARGEST_M[coarser]:
        coarser += 1
    return LEAF_RES - coarser


@allocating
def gathered(grid: Grid, here: Vector, reach: float, res: int, near: Near) -> tuple[Near, int]:
    """(near, how many): the cells with their centres within *reach* radians; *near*, or longer arrays."""
    room = most(grid.faces, reach, res)
    if room > len(near.cells):
        near = Near(np.empty(room, np.uint64), np.empty((room, 3), np.float64))
    return near, around(grid, here, reach, res, near.cells, near.xyz)


@allocating
def with_room(laid: Laid, need: int) -> Laid:
    """*laid*, or longer arrays."""
    if need <= len(laid.key):
        return laid
    return Laid(roomy(laid.key, need), roomy(laid.fence, need))


@kernel
def in_order(laid: Laid, first: int, end: int, fence: int) -> None:
    """Put the cells [first, end) of one fence in order (Shell's sort: numba takes seconds to compile its own), and its
    number beside them.
    """
    key, gap = laid.key, 1
    while 3 * gap < end - first:
        gap = 3 * gap + 1
    while gap > 0:
        for k in range(first + gap, end):
            cell, to = key[k], k
            while to >= first + gap and key[to - gap] > cell:
                key[to] = key[to - gap]
                to -= gap
            key[to] = cell
        gap //= 3
    for k in range(first, end):
        laid.fence[k] = fence
