"""Which fences' edges may lie near a cell: what a safe region is measured against.

For each cell of a resolution (res 9; for great fences res 6) the fences whose edge may come within `SIGHT_M` of a
point of the cell. May over-include, never under-includes. The lists stand in the nodes' blocks (`geo.postings`).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from geo.arrays import Cells, Floats, Ints, frozen
from geo.cells import the_grid
from geo.cover import Covers
from geo.kernels import allocating
from geo.lattice import spread
from geo.laying import begin, gathered, with_room
from geo.leaves import Grid
from geo.outline import Outlines
from geo.sphere import unit
from geo.units import EARTH_RADIUS_M

SIGHT_M: Final = 150.0
"""A safe region reaches no farther."""
_GREAT_M: Final = 3_500.0
_FINE, _COARSE = 9, 6


def near_cells(around: Floats, outlines: Outlines) -> Covers:
    """The cells that each fence's edge may come near, none of them `inside`; around and outlines as for
    `geo.cover.covers`.
    """
    cell, fence = _laid(the_grid(), frozen(around, np.float64), outlines.chain_ptr)
    return Covers(cell, fence, np.zeros(len(cell), np.bool_))


@allocating
def _laid(grid: Grid, around: Floats, chain_ptr: Ints) -> tuple[Cells, Ints]:
    """(cells, fences)."""
    (laid, near), count = begin(), 0
    for f in range(len(around)):
        here, reach, res = unit(around[f, 0], around[f, 1]), around[f, 3] / EARTH_RADIUS_M, _COARSE
        if around[f, 3] <= _GREAT_M:
            res = _FINE
        far = reach + SIGHT_M / EARTH_RADIUS_M
        beside = spread(grid.faces, here, far, res)
        near, found = gathered(grid, here, far + beside, res, near)
        laid = with_room(laid, count + found)
        hollow = reach - SIGHT_M / EARTH_RADIUS_M - beside if chain_ptr[f] == chain_ptr[f + 1] else 0.0
        least = 4.0 * math.sin(0.5 * max(0.0, hollow)) ** 2
        for k in range(found):
            dx, dy, dz = near.xyz[k, 0] - here[0], near.xyz[k, 1] - here[1], near.xyz[k, 2] - here[2]
            if dx * dx + dy * dy + dz * dz >= least:
                laid.key[count], laid.fence[count] = near.cells[k], f
                count += 1
    return laid.key[:count], laid.fence[:count]
