"""The cells of a polygon: the rim at one level, the inner cells there and at coarser ones.

No polyfill: from the coarsest level each cell's window (`geo.windows`) is tried. No edge reaches into it: all of
it is inside or outside, as its centre is. Else the cell belongs to the rim, or is tried again by its
descendants two resolutions finer. Work and cells are bounded before they are spent.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from geo.arrays import Cells, Flags, Floats, Ints, frozen
from geo.boundary import holds
from geo.cells import cell_at, centres, children, disk
from geo.cover import LEVELS, STEP, Cover, level, size_m
from geo.errors import FenceError
from geo.kernels import kernel
from geo.outline import Outlines, Rims, Traced
from geo.rings import Parts, reach
from geo.windows import crossed, spreads_m, windows

CELLS_MAX = 256
"""With a cell more for every VERTICES vertices, the most cells of a cover for which a finer level is kept; the
coarsest has what it needs.
"""
VERTICES = 8
_FINER = 49
"""Descendants of a cell two resolutions down; some half of them become cells of the cover."""
_SOUTH_OF_ALL_DEG = -91.0


class Laid(NamedTuple):
    """A polygon's cells, each known by its window."""

    cells: Cells
    windows: Floats


def polygon_cover(parts: Parts, one: Traced) -> tuple[Cover, Rims]:
    """Cells of all points the polygon holds, and the edges near each edge cell. Raises `FenceError` on a fence
    without cells.
    """
    inside, rim = _laid(one, _start(parts, one))
    most = CELLS_MAX + len(one.vertex) // VERTICES
    while len(rim.cells) * _FINER <= 2 * most and (res := _finer(rim.cells)):
        more, finer = _laid(one, _kept(one, np.concatenate([children(cell, res) for cell in rim.cells.tolist()])))
        if len(inside) + len(more) + len(finer.cells) > most:
            break
        inside, rim = np.concatenate([inside, more]), finer
    if not len(inside) and not len(rim.cells):
        raise FenceError("no cell covers it")
    order = np.argsort(rim.cells)
    rim = Laid(rim.cells[order], rim.windows[order])
    return Cover(frozen(np.sort(inside), np.uint64), frozen(rim.cells, np.uint64)), _rim(one, rim.windows)


def _finer(cells: Cells) -> int:
    """The level below that of *cells*; 0 below the leaves and of no cells."""
    if not len(cells):
        return 0
    res = int(cells[0] >> np.uint64(52)) & 0xF
    return LEVELS[LEVELS.index(res) + 1] if res < LEVELS[-1] else 0


def _start(parts: Parts, one: Traced) -> Laid:
    """Cells of one level around everything, as `geo.cover.circle_cover` lays them."""
    lat, lng, reach_m = reach(parts)
    middle = cell_at(lat, lng, level(reach_m))
    wide_m, spread_m = (
        size_m(middle),
        spreads_m(np.array([middle], np.uint64), *centres(np.array([middle], np.uint64)))[0],
    )
    rings = (reach_m + 2.0 * spread_m) / (STEP * wide_m)
    # Over many rings sizes drift by more than a small disk needs to allow for.
    return _kept(one, disk(middle, math.ceil(1.1 * rings)))


def _kept(one: Traced, cells: Cells) -> Laid:
    """The cells whose window meets the polygon's box."""
    south, west, north, east = one.box[-1]
    lat, lng = centres(cells)
    each = windows(lat, lng, spreads_m(cells, lat, lng), (west + east) / 2.0)
    meets = (each[:, 0] <= north) & (each[:, 2] >= south) & (each[:, 1] <= east) & (each[:, 3] >= west)
    return Laid(cells[meets], each[meets])


def _laid(one: Traced, tried: Laid) -> tuple[Cells, Laid]:
    """(inside, rim) among the cells *tried*."""
    rim = crossed(one, tried.windows)
    clear = tried.windows[~rim]
    held = np.zeros(len(clear), np.bool_)
    _centres_held(_alone(one), frozen(clear, np.float64), held)
    return tried.cells[~rim][held], Laid(tried.cells[rim], tried.windows[rim])


def _alone(one: Traced) -> Outlines:
    """The outlines of this one fence."""
    chain_ptr, box_ptr = frozen([0, len(one.chain)], np.int32), frozen([0, len(one.box)], np.int32)
    return Outlines(one.vertex, one.chain, chain_ptr, one.box, box_ptr)


@kernel
def _centres_held(outlines: Outlines, each: Floats, held: Flags) -> None:
    for i in range(len(each)):
        lng = 0.5 * (each[i, 1] + each[i, 3])
        held[i] = holds(outlines, 0, 0.5 * (each[i, 0] + each[i, 2]), lng)


def _rim(one: Traced, each: Floats) -> Rims:
    """Near chains, and what the chains east of each window amount to.

    A chain is near if its box meets the window. Of the others only those east of it count for a point of the
    window, and each edge of them that spans the point's latitude. Going north their number changes parity
    where an eastern chain ends and the next is not an eastern one; south of the window all turns are one.
    """
    box = one.box[: len(one.chain)]
    east = box[:, 1] > each[:, 3, None]
    near = ~east & (box[:, 3] >= each[:, 1, None]) & (box[:, 0] <= each[:, 2, None]) & (box[:, 2] >= each[:, 0, None])
    turn_deg = one.vertex[one.chain[:, 1], 0]
    turns = (east != east[:, one.following]) & (turn_deg <= each[:, 2, None])
    south = turns & (turn_deg < each[:, 0, None])
    odd = south.sum(axis=1) % 2 == 1
    turns = np.concatenate([odd[:, None], turns & ~south], axis=1)
    turn_deg = np.concatenate([[_SOUTH_OF_ALL_DEG], turn_deg])
    return Rims(_ends(near), np.nonzero(near)[1].astype(np.int32), _ends(turns), turn_deg[np.nonzero(turns)[1]])


def _ends(flags: np.ndarray) -> Ints:
    return np.cumsum([0, *flags.sum(axis=1)]).astype(np.int32)
