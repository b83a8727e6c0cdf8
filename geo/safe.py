"""Safe regions: how far a customer may go before a fix can change anything but time. Kernels only.

After a turn that leaves a customer in just those fences that hold the fix, nothing begins or ends while the customer
stays nearer to it than the nearest edge of any fence. So the place and that distance are kept, and a fix within costs a
distance: it confirms the open visits, which it is inside of, and moves the watermark.

The place is kept in single precision and the distance is taken shorter by all that costs; a path along the straight
line in latitude and longitude is never shorter than the great circle, so that what passes for near is near.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from geo.arrays import Floats, Records
from geo.boundary import beside, boundary_m
from geo.edge import Spot, arc_of, square_to
from geo.index import Lookup, node_at
from geo.kernels import constant, kernel
from geo.near import SIGHT_M
from geo.outline import Outlines
from geo.postings import NEAR, span_of
from geo.sphere import sin_cos
from geo.units import EARTH_RADIUS_M

_M_PER_DEG: Final = EARTH_RADIUS_M * math.pi / 180.0
_SLACK_M: Final = 1.0
"""More than all rounding, and than what distances to polygons are wrong by at SIGHT_M (`geo.boundary`)."""
_SHORTEST_M: Final = 5.0
_SIGHT_DEG: Final = 2.0 * SIGHT_M / _M_PER_DEG
_ROUND_UP: Final = 1.0 + 1e-6
CROWD: Final = constant(32)
"""Where more fences come near, a safe region would be small and dear."""


@kernel
def covers(customer: Records, lat: float, lng: float) -> bool:
    """Whether the position lies in the customer's safe region."""
    north_m = (lat - customer["safe_lat"]) * _M_PER_DEG
    east_m = (lng - customer["safe_lng"]) * customer["safe_east_m"]
    return bool(north_m * north_m + east_m * east_m < customer["safe_m"] * customer["safe_m"])


@kernel
def walked(customer: Records, lat: float, lng: float) -> bool:
    """Whether the position is no farther from the last one than a safe region reaches, roughly: else the customer is
    likely to be gone from any before it is of use.
    """
    return bool(abs(lat - customer["lat"]) + abs(lng - customer["lng"]) < _SIGHT_DEG)


@kernel
def keep(customer: Records, here: Spot, safe_m: float) -> None:
    """Make the place the middle of a safe region of this radius; none if that is small."""
    customer["safe_lat"], customer["safe_lng"] = here[3], here[4]
    off_deg = abs(here[3] - float(customer["safe_lat"])) + abs(here[4] - float(customer["safe_lng"]))
    safe_m -= _M_PER_DEG * off_deg + _SLACK_M
    if safe_m < _SHORTEST_M:
        customer["safe_m"] = 0.0
        return
    customer["safe_east_m"] = _M_PER_DEG * sin_cos(max(0.0, abs(here[3]) - _SIGHT_DEG))[1] * _ROUND_UP
    customer["safe_m"] = safe_m


@kernel
def clear_m(lookup: Lookup, outlines: Outlines, cell: np.uint64, here: Spot) -> float:
    """Distance from the point to the nearest edge of any fence, or less; at most SIGHT_M. cell: the point's leaf."""
    least_m = SIGHT_M
    for u in range(len(lookup.upper)):
        first, end = span_of(lookup.node[node_at(lookup, cell, lookup.upper[u]), NEAR])
        if end - first > CROWD:
            return 0.0
        for at in range(first, end):
            least_m = min(least_m, _away_m(lookup.posting[at], lookup.centre, outlines, here))
            if least_m < _SHORTEST_M:
                return 0.0
    return least_m


@kernel
def _away_m(rank: int, centre: Floats, outlines: Outlines, here: Spot) -> float:
    """Distance to the edge of the fence of that rank."""
    limit, square = centre[rank, 3], square_to(centre, rank, here)
    if limit >= 0.0:
        return abs(arc_of(square) - arc_of(limit))
    return boundary_m(outlines, rank, here[3], beside(outlines, rank, here[4]))
