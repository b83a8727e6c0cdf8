"""The cells of many fences, in index space: a cell means all points whose leaf cell descends from it.

Those points do not fill the cell's hexagon exactly: descendants stick out over its sides. They stay within
`geo.lattice.spread` of its centre, so here a cell is that disc. Covers may over-include, never under-include. Tests
descend to the farthest leaves, also around pentagons, face edges, poles and ±180°.

Each fence is laid at one resolution. Measured with radii evenly on a logarithmic scale from 30 to 500 m: 19 cells a
circle, and of the points in its cells 1 of 1.7 is in the circle; of a radius just above a step of `geo.laying` 10 cells
and 1 of 2.2 to 4, just below 71 cells (where H3's cells are smallest 120) and 1 of 1.4.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from geo.arrays import Cells, Flags, Floats, Ints, frozen
from geo.cells import the_grid
from geo.errors import GeoError
from geo.kernels import allocating
from geo.lattice import spread
from geo.laying import EDGE_BIT, Laid, Near, begin, gathered, in_order, level, with_room
from geo.leaves import ASK, Grid
from geo.outline import Outlines
from geo.polygon_cover import lay_polygon
from geo.sphere import unit
from geo.units import EARTH_RADIUS_M


class Covers(NamedTuple):
    """Cells of fences, ordered by fence, then inside first, then cell; those of one fence are disjoint."""

    cell: Cells
    """u8[N]"""
    fence: Ints
    """i4[N]: position of the fence among those given."""
    inside: Flags
    """bool[N]: every point of the cell is in the fence; else some may be, and the exact test decides."""


def covers(around: Floats, outlines: Outlines) -> Covers:
    """Cells of all points of each fence. Some microseconds a circle, some tens a polygon.

    around: f8[F, 4], latitude, longitude, radius and reach as in `FenceIndex`. A fence without chains in *outlines* is
    a circle. Raises `GeoError` when the H3 library is none we know.
    """
    key, fence = _laid(the_grid(), frozen(around, np.float64), outlines)
    cell = key & ~EDGE_BIT
    if (cell == ASK).any():
        raise GeoError("a cell of a cover is not known: this is not the H3 we know")
    return Covers(cell, fence, key == cell)


@allocating
def _laid(grid: Grid, around: Floats, outlines: Outlines) -> tuple[Cells, Ints]:
    """(key, fence) as in `Laid`."""
    (laid, near), count = begin(), 0
    for f in range(len(around)):
        first = count
        if outlines.chain_ptr[f] == outlines.chain_ptr[f + 1]:
            laid, near, count = _lay_circle(grid, around[f], laid, near, count)
        else:
            laid, near, count = lay_polygon(grid, (outlines, f), around[f], laid, near, count)
        in_order(laid, first, count, f)
    return laid.key[:count], laid.fence[:count]


@allocating
def _lay_circle(grid: Grid, circle: Floats, laid: Laid, near: Near, count: int) -> tuple[Laid, Near, int]:
    """Write the cells of all points at most the radius from the middle behind the first *count*."""
    here, reach, res = unit(circle[0], circle[1]), circle[2] / EARTH_RADIUS_M, level(circle[2])
    beside = spread(grid.faces, here, reach, res)
    near, found = gathered(grid, here, reach + beside, res, near)
    laid, sure = with_room(laid, count + found), 4.0 * math.sin(0.5 * max(0.0, reach - beside)) ** 2
    key, cells, xyz = laid.key, near.cells, near.xyz
    for k in range(found):
        square = (xyz[k, 0] - here[0]) ** 2 + (xyz[k, 1] - here[1]) ** 2 + (xyz[k, 2] - here[2]) ** 2
        key[count] = cells[k] if square < sure else cells[k] | EDGE_BIT
        count += 1
    return laid, near, count
