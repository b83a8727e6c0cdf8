"""Where polygons are and how large: middle, area, and how far they reach. Kernels only."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from geo.arrays import Floats
from geo.kernels import kernel
from geo.rings import Rings
from geo.sphere import arc_m, unit
from geo.units import EARTH_RADIUS_M

_RAD: Final = math.pi / 180.0
_BEND: Final = 1.09
"""No edge bends more than this times tan(latitude) / R: on the sphere an edge straight in lng/lat that runs east by w
of its length bends by tan(latitude) / R · w (2 - w²).
"""
_FINE: Final = 1e-3
_PIECES_MAX: Final = 256.0
_ROUGH_M: Final = 0.01


@kernel
def extents(rings: Rings, around: Floats) -> None:
    """Write f8[F, 4] of each fence that has rings: latitude and longitude of the middle of its box, degrees; in metres
    the radius of the circle of the same area, and a radius that nothing of it leaves.
    """
    for f in range(len(rings.fence_ptr) - 1):
        if rings.fence_ptr[f] == rings.fence_ptr[f + 1]:
            continue
        lat, lng = _middle(rings, f)
        around[f, 0], around[f, 1] = lat, (lng + 180.0) % 360.0 - 180.0
        around[f, 2] = math.sqrt(max(0.0, area_m2(rings, f)) / math.pi)
        around[f, 3] = _reach_m(rings, f, lat, lng)


@kernel
def _middle(rings: Rings, fence: int) -> tuple[float, float]:
    """Of the box around the outer rings, degrees."""
    south = west = np.inf
    north = east = -np.inf
    for r in range(rings.fence_ptr[fence], rings.fence_ptr[fence + 1]):
        if rings.outer[r]:
            for k in range(rings.ring_ptr[r], rings.ring_ptr[r + 1]):
                lat, lng = rings.vertex[k, 0], rings.vertex[k, 1]
                south, north, west, east = min(south, lat), max(north, lat), min(west, lng), max(east, lng)
    return 0.5 * (south + north), 0.5 * (west + east)


@kernel
def area_m2(rings: Rings, fence: int) -> float:
    """Of the outer rings less the holes, if no two parts overlap."""
    total = 0.0
    for r in range(rings.fence_ptr[fence], rings.fence_ptr[fence + 1]):
        one = ring_area_m2(rings.vertex, rings.ring_ptr[r], rings.ring_ptr[r + 1])
        total += one if rings.outer[r] else -one
    return total


@kernel
def ring_area_m2(vertex: Floats, first: int, end: int) -> float:
    """Of the closed ring [first, end) on the sphere: R² |Σ Δlng · mean of sin(lat)| (Chamberlain and Duquette 2007),
    the sines taken from the ring's first vertex, or a small ring loses its digits.
    """
    base, total, rise = vertex[first, 0], 0.0, 0.0
    for k in range(first + 1, end):
        lat, step = vertex[k, 0], vertex[k, 1] - vertex[k - 1, 1]
        above = 2.0 * math.cos(0.5 * _RAD * (lat + base)) * math.sin(0.5 * _RAD * (lat - base))  # sin(lat) - sin(base)
        total += step * (rise + above)
        rise = above
    return EARTH_RADIUS_M**2 * 0.5 * _RAD * abs(total)


@kernel
def _reach_m(rings: Rings, fence: int, lat: float, lng: float) -> float:
    """Metres that no point of the outer rings is farther from (lat, lng).

    Along an edge of length L the distance from a point is at most the larger one at the ends and bend · L² / 8. Edges
    for which that is much are cut into pieces.
    """
    here, vertex, most = unit(lat, lng), rings.vertex, 0.0
    for r in range(rings.fence_ptr[fence], rings.fence_ptr[fence + 1]):
        if not rings.outer[r]:
            continue
        for k in range(rings.ring_ptr[r], rings.ring_ptr[r + 1]):
            most = max(most, _square(here, vertex[k, 0], vertex[k, 1]))
    farthest_m = arc_m(most)
    reach_m = farthest_m
    for r in range(rings.fence_ptr[fence], rings.fence_ptr[fence + 1]):
        for k in range(rings.ring_ptr[r], rings.ring_ptr[r + 1] - 1):
            a, b = (vertex[k, 0], vertex[k, 1]), (vertex[k + 1, 0], vertex[k + 1, 1])
            over_m = _over_m(a, b)
            if farthest_m + over_m > reach_m and rings.outer[r]:
                reach_m = max(reach_m, _along_m(here, a, b, (over_m, farthest_m)))
    return reach_m + _ROUGH_M


@kernel
def _square(here: tuple[float, float, float], lat: float, lng: float) -> float:
    """Of the chord to a position."""
    x, y, z = unit(lat, lng)
    return (x - here[0]) ** 2 + (y - here[1]) ** 2 + (z - here[2]) ** 2


@kernel
def _over_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """By how much the distance to an edge's inner points may exceed that to its ends."""
    low = 0.0 if a[0] * b[0] <= 0.0 else min(abs(a[0]), abs(b[0]))
    north, east = (b[0] - a[0]) * _RAD, (b[1] - a[1]) * _RAD * math.cos(low * _RAD)
    bend = _BEND * math.tan(max(abs(a[0]), abs(b[0])) * _RAD)
    return bend * (north * north + east * east) / 8.0 * EARTH_RADIUS_M


@kernel
def _along_m(
    here: tuple[float, float, float], a: tuple[float, float], b: tuple[float, float], bounds: tuple[float, float]
) -> float:
    """A bound of the distance to the edge's points. bounds: what `_over_m` said, and a distance not to be much finer
    than.
    """
    pieces = min(_PIECES_MAX, math.ceil(math.sqrt(bounds[0] / (_FINE * bounds[1] + _ROUGH_M))))
    most = 0.0
    for piece in range(int(pieces) + 1):
        share = piece / max(1.0, pieces)
        most = max(most, _square(here, a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))
    return arc_m(most) + bounds[0] / max(1.0, pieces) ** 2
