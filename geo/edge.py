"""Which side of a fence's edge a point lies on, and how far from it. Kernels only.

`edge_m` of a circle is exact by great circle. Of a polygon its sign is exact and its size as `geo.boundary` says;
beyond FAR_M it is a lower bound, the distance to the circle around the polygon. A departure asks whether
edge_m > accuracy_m + margin_m: the bound decides the same for every accuracy below FAR_M, and a fix less
accurate than that may leave one ping later than it could.

Kernels for polygons take only the arrays they need, and callers take those out of the index once: to pass the
whole record costs more than to test a circle.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from geo.arrays import Floats
from geo.boundary import beside, boundary_m, holds
from geo.index import IndexArrays
from geo.kernels import kernel
from geo.outline import Outlines
from geo.sphere import arc_m, unit
from geo.units import EARTH_RADIUS_M

Spot: TypeAlias = tuple[float, float, float, float, float]
"""One position: its unit vector (x, y, z), latitude and longitude in degrees."""

FAR_M = 20_000.0
_OUTSIDE_M = 1e-9
"""Of a point on an edge of a polygon that does not hold it."""


@kernel
def spot(lat: float, lng: float) -> Spot:
    """The position ready for both kinds of fences."""
    x, y, z = unit(lat, lng)
    return x, y, z, lat, lng


@kernel
def edge_m(index: IndexArrays, fence: int, here: Spot) -> float:
    """Signed distance from the point to the edge of *fence*, negative inside; not above 0 if and only if the
    fence holds the point.
    """
    rank = index.lookup.rank[fence]
    away_m = arc_m(square_to(index.lookup.centre, rank, here)) - float(index.reach_m[fence])
    if away_m > FAR_M or index.outlines.chain_ptr[rank] == index.outlines.chain_ptr[rank + 1]:
        return away_m
    return _polygon_edge_m(index.outlines, rank, here[3], here[4])


@kernel
def square_to(centre: Floats, rank: int, here: Spot) -> float:
    """Square of the chord between the point and the middle of the fence of that rank."""
    dx, dy, dz = centre[rank, 0] - here[0], centre[rank, 1] - here[1], centre[rank, 2] - here[2]
    square: float = dx * dx + dy * dy + dz * dz
    return square


@kernel
def arc_of(square: float) -> float:
    """`geo.sphere.arc_m` of a chord within a fence's reach, by the series of the arc sine: to 1e-15 up to 250 km, and
    growing with *square*, so that it tells two circles apart as their squares do.
    """
    series = 1.0 + square * (1.0 / 24.0) * (1.0 + square * (9.0 / 80.0) * (1.0 + square * (25.0 / 168.0)))
    return EARTH_RADIUS_M * math.sqrt(square) * series


@kernel
def _polygon_edge_m(outlines: Outlines, rank: int, lat: float, lng: float) -> float:
    lng = beside(outlines, rank, lng)
    away_m = boundary_m(outlines, rank, lat, lng)
    return -away_m if holds(outlines, rank, lat, lng) else max(away_m, _OUTSIDE_M)
