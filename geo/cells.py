"""H3 cells as unsigned 64-bit integers. The only file that imports h3.

A point is encoded once, at the leaf resolution; coarser cells are *parents*, by bit mask. (Encoding again at
a coarser resolution gives another cell than the parent for 7 % of all points, since hexagons do not contain
their children.) Layout of an H3 index (h3geo.org, "H3Index bit layout"): bits 52-55 resolution, 45-51 base
cell, then one 3-bit digit a resolution from bit 42 downwards, 7 where unused.
"""

from __future__ import annotations

from functools import cache
from itertools import repeat
from typing import Final

import h3.api.basic_int as h3
import numpy as np

from geo.arrays import Cells, Floats
from geo.grid import encode_with, grid_of, locate_with
from geo.kernels import kernel
from geo.leaves import LEAF_RES, Grid
from geo.sphere import units

NO_CELL: Final = 0
_RES_SHIFT = np.uint64(52)
_RES_MASK = np.uint64(0xF << 52)
_DIGITS = 15


def encode(lat: Floats, lng: Floats) -> Cells:
    """u8[n]: leaf cells of positions, the h3 library's; `NO_CELL` where the position is not `valid`."""
    return encode_with(the_grid(), library_leaves, lat, lng)


def locate(lat: Floats, lng: Floats) -> tuple[Cells, Floats]:
    """(`encode`, f8[n, 3]: unit vectors, `geo.sphere.unit`'s; anything where the position is not `valid`)."""
    return locate_with(the_grid(), library_leaves, lat, lng)


def library_leaves(lat: Floats, lng: Floats) -> Cells:
    """u8[n]: `encode` of valid positions by the library itself, one at a time."""
    return np.fromiter(map(h3.latlng_to_cell, lat.tolist(), lng.tolist(), repeat(LEAF_RES)), np.uint64, len(lat))


@cache
def the_grid() -> Grid:
    """H3's faces and base cells, learnt from the library once a process: some hundredths of a second."""
    corners = np.array([h3.cell_to_latlng(cell) for cell in h3.get_pentagons(0)])
    return grid_of(library_leaves, units(corners[:, 0], corners[:, 1]))


def parent(cells: Cells, res: int) -> Cells:
    """u8[n]: ancestors at *res*, which is at most the resolution of every cell; `NO_CELL` stays."""
    cells = np.asarray(cells, np.uint64)
    unused = np.uint64((1 << 3 * (_DIGITS - res)) - 1)
    coarser = (cells & ~_RES_MASK) | (np.uint64(res) << _RES_SHIFT) | unused
    return np.where(cells == NO_CELL, np.uint64(NO_CELL), coarser)


@kernel
def ancestor(cell: np.uint64, res: int) -> np.uint64:
    """`parent` of one real cell, callable from kernels."""
    unused = (np.uint64(1) << np.uint64(3 * (_DIGITS - res))) - np.uint64(1)
    return np.uint64((cell & ~_RES_MASK) | (np.uint64(res) << _RES_SHIFT) | unused)


def coarse(lat: Floats, lng: Floats, res: int = 7) -> Cells:
    """u8[n]: what may be stored of a position: the ancestor at *res* of its leaf cell."""
    return parent(encode(lat, lng), res)


def cell_text(cell: int) -> str:
    """H3's own text of a cell: 15 hexadecimal digits."""
    return str(h3.int_to_str(int(cell)))
