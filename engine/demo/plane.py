"""A flat map of one city: local metres east and north of an origin.

Equirectangular about the origin. Over the two kilometres of the demo city a distance errs by less than one
part in ten thousand, well below what a phone can see. The engine itself never uses this plane.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EARTH_RADIUS_M = 6_371_008.8  # mean radius R1, IUGG
METRES_PER_DEGREE = math.radians(1.0) * EARTH_RADIUS_M


@dataclass(frozen=True)
class Plane:
    """Metres around (`lat_deg`, `lng_deg`)."""

    lat_deg: float
    lng_deg: float

    def to_metres(self, lat_deg: Floats, lng_deg: Floats) -> tuple[Floats, Floats]:
        """Latitudes, longitudes (degrees, any shape) → metres (east, north), same shape."""
        north_m = (lat_deg - self.lat_deg) * METRES_PER_DEGREE
        return (lng_deg - self.lng_deg) * self._metres_per_lng, north_m

    def to_degrees(self, east_m: Floats, north_m: Floats) -> tuple[Floats, Floats]:
        """The inverse of `to_metres`: degrees (lat, lng)."""
        lat_deg = self.lat_deg + north_m / METRES_PER_DEGREE
        return lat_deg, self.lng_deg + east_m / self._metres_per_lng

    @property
    def _metres_per_lng(self) -> float:
        return METRES_PER_DEGREE * math.cos(math.radians(self.lat_deg))


def around(lat_deg: Floats, lng_deg: Floats) -> Plane:
    """The plane whose origin is the middle of the points' bounding box; not for points astride ±180°."""
    return Plane(
        float(lat_deg.min() + lat_deg.max()) / 2,
        float(lng_deg.min() + lng_deg.max()) / 2,
    )
