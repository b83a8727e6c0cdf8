"""The cells of a fence, in index space: a cell means all points whose leaf cell descends from it.

Those points do not fill the cell's hexagon exactly: descendants stick out over its sides. They stay within
`SPREAD` circumradii of its centre. (In the plane the bound is √3/√7 · Σ 7^(-i/2) = 1.053; 1.064 was the
worst found by descending to the farthest leaves of 1,200 cells of res 5-9, random ones and the neighbourhoods
of all pentagons.) The cells around a hexagon are at most 1.1 % larger than it, those around a pentagon 23 %.
A test descends to the farthest leaves, also around pentagons, poles and ±180°.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from geo.arrays import Cells, frozen
from geo.cells import cell_at, centres, corners, disk, is_pentagon
from geo.fence import Circle
from geo.sphere import distance_m

LEVELS = (5, 7, 9, 11)
"""Resolutions a cover may use, so that a point costs at most four probes."""

_LARGEST_M = ((100.0, 11), (700.0, 9), (4_900.0, 7), (math.inf, 5))
"""Radius up to which a level is used: about 30 cells a fence at most, 60 for the largest."""

SPREAD = 1.12
PENTAGON = 1.25
STEP = 1.15
"""Cells outside disk k lie at least 1.22 (k + 1) circumradii away (measured as above), taken lower."""


@dataclass(frozen=True)
class Cover:
    """Cells (u8, ascending, disjoint) of one fence. May over-include, never under-includes."""

    inside: Cells
    """Every point of the cell is in the fence."""
    edge: Cells
    """Some point of the cell may be in the fence: the exact test decides."""


def level(radius_m: float) -> int:
    """The resolution that covers of this radius are laid at."""
    return next(res for largest_m, res in _LARGEST_M if radius_m <= largest_m)


def circle_cover(circle: Circle) -> Cover:
    """Cells of all points at most `radius_m` from the centre. Around 100 µs."""
    middle = cell_at(circle.lat, circle.lng, level(circle.radius_m))
    wide_m = size_m(middle)
    spread_m = wide_m * SPREAD * (PENTAGON if is_pentagon(middle) else 1.0)
    # The circle's centre lies up to a circumradius from the disk's, a cell's points up to a spread from its own.
    near = np.sort(disk(middle, int((circle.radius_m + 2.0 * spread_m) / (STEP * wide_m))))
    lat, lng = centres(near)
    away_m = distance_m(lat, lng, circle.lat, circle.lng)
    inside = away_m <= circle.radius_m - spread_m
    edge = ~inside & (away_m <= circle.radius_m + spread_m)
    return Cover(frozen(near[inside], np.uint64), frozen(near[edge], np.uint64))


def size_m(cell: int) -> float:
    """Circumradius of a cell, in metres."""
    lat, lng = centres(np.array([cell], np.uint64))
    return float(distance_m(*corners(cell), lat, lng).max())
