"""The cells of one polygon. Kernels only.

If no edge of the polygon comes as near to a cell's centre as `geo.lattice.spread`, all of the cell is inside or
outside, as its centre is; else it is an edge cell. Distances are taken on the plane of longitude times cos(latitude of
the centre) and latitude, on which edges are straight.
"""

from __future__ import annotations

import math
from typing import Final

from geo.arrays import Floats
from geo.boundary import beside, holds, to_box, to_chain
from geo.kernels import allocating, constant, kernel
from geo.lattice import most, spread
from geo.laying import COARSEST, EDGE_BIT, Laid, Near, gathered, level, with_room
from geo.leaves import Grid
from geo.outline import Outlines
from geo.sphere import unit
from geo.units import EARTH_RADIUS_M

CELLS_MAX: Final = constant(96)
"""Most cells of a cover, unless it is laid at the coarsest resolution."""
TRIED_MAX: Final = constant(16_384)
"""Bound of the cells looked at for one resolution, likewise."""
_DEG: Final = 180.0 / math.pi


@allocating
def lay_polygon(
    grid: Grid, which: tuple[Outlines, int], around: Floats, laid: Laid, near: Near, count: int
) -> tuple[Laid, Near, int]:
    """Write the cells of all points of fence which[1] behind the first *count*: at the resolution for its area, or the
    next coarser one with no more than `CELLS_MAX`. around: f8[4], as for `geo.cover.covers`.
    """
    here, reach, res = unit(around[0], around[1]), around[3] / EARTH_RADIUS_M, finest(grid.faces, around)
    while True:
        wide = spread(grid.faces, here, reach, res)
        near, found = gathered(grid, here, reach + wide, res, near)
        laid = with_room(laid, count + found)
        end = _sorted_out(which, (near, found), wide, laid, count)
        if res == COARSEST or end - count <= CELLS_MAX:
            return laid, near, end
        res -= 1


@kernel
def finest(faces: Floats, around: Floats) -> int:
    """The resolution for the fence's area, or the next coarser one with no more than `TRIED_MAX` cells around it."""
    here, reach, res = unit(around[0], around[1]), around[3] / EARTH_RADIUS_M, level(around[2])
    while res > COARSEST and most(faces, reach + spread(faces, here, reach, res), res) > TRIED_MAX:
        res -= 1
    return res


@kernel
def _sorted_out(which: tuple[Outlines, int], found: tuple[Near, int], wide: float, laid: Laid, count: int) -> int:
    """Write those of the cells found that may hold points of the fence behind the first *count*; how many there are.

    All points of a cap lie within (1 + spread · tan(latitude) / 2) of its radius on the plane, while that is at most
    1.1: up to half a degree from a pole, where no fence is near.
    """
    outlines, fence = which
    near, cells = found
    xyz, cell, key = near.xyz, near.cells, laid.key
    for k in range(cells):
        ring = math.sqrt(xyz[k, 0] ** 2 + xyz[k, 1] ** 2)
        lat = math.atan2(xyz[k, 2], ring) * _DEG
        lng = beside(outlines, fence, math.atan2(xyz[k, 1], xyz[k, 0]) * _DEG)
        wider = min(1.1, 1.0 + 0.5 * wide * abs(xyz[k, 2]) / ring)
        side = _side(outlines, fence, (lat, lng, ring), wide * _DEG * wider)
        if side >= 0:
            key[count] = cell[k] if side > 0 else cell[k] | EDGE_BIT
            count += 1
    return count


@kernel
def _side(outlines: Outlines, fence: int, here: tuple[float, float, float], wide_deg: float) -> int:
    """1: all points up to *wide_deg* from *here* are in the fence; -1: none; 0: perhaps some. here: (lat, lng,
    cos(lat)).
    """
    limit = wide_deg * wide_deg
    if to_box(outlines.box, outlines.box_ptr[fence + 1] - 1, here) > limit:
        return -1
    first = outlines.box_ptr[fence] - outlines.chain_ptr[fence]
    for c in range(outlines.chain_ptr[fence], outlines.chain_ptr[fence + 1]):
        if (
            to_box(outlines.box, first + c, here) <= limit
            and to_chain(outlines.vertex, outlines.chain[c], here) <= limit
        ):
            return 0
    return 1 if holds(outlines, fence, here[0], here[1]) else -1
