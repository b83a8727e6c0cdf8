"""Distances on a sphere of the Earth's mean radius, through unit vectors.

The arc is taken from the chord, 2 R asin(|u - v| / 2): exact to nanometres for near points, where the arc
cosine of a dot product loses 10 cm, and needing no case for poles or ±180°. Near the antipode it loses some
centimetres; no fence reaches there.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

from geo.arrays import Floats
from geo.kernels import kernel
from geo.units import EARTH_RADIUS_M

Degrees: TypeAlias = Floats | float
_QUARTER_RAD = math.pi / 720.0


@kernel
def sin_cos(deg: float) -> tuple[float, float]:
    """Of an angle within ±180°, to 1e-15: Taylor's series of its quarter, doubled twice. (A call of the C library's
    would keep the loop from becoming vector instructions.)
    """
    x = deg * _QUARTER_RAD
    z = -x * x
    s = 1.0 + z * (1.0 / 156.0) * (1.0 + z * (1.0 / 210.0))
    s = 1.0 + z * (1.0 / 42.0) * (1.0 + z * (1.0 / 72.0) * (1.0 + z * (1.0 / 110.0) * s))
    s = x * (1.0 + z * (1.0 / 6.0) * (1.0 + z * (1.0 / 20.0) * s))
    c = 1.0 + z * (1.0 / 182.0) * (1.0 + z * (1.0 / 240.0))
    c = 1.0 + z * (1.0 / 56.0) * (1.0 + z * (1.0 / 90.0) * (1.0 + z * (1.0 / 132.0) * c))
    c = 1.0 + z * (1.0 / 2.0) * (1.0 + z * (1.0 / 12.0) * (1.0 + z * (1.0 / 30.0) * c))
    s, c = 2.0 * s * c, 1.0 - 2.0 * s * s
    return 2.0 * s * c, 1.0 - 2.0 * s * s


@kernel
def unit(lat_deg: float, lng_deg: float) -> tuple[float, float, float]:
    """Unit vector (x, y, z) of one `valid` position; z points to the north pole, x to 0° on the equator."""
    sin_lat, cos_lat = sin_cos(lat_deg)
    sin_lng, cos_lng = sin_cos(lng_deg)
    return cos_lat * cos_lng, cos_lat * sin_lng, sin_lat


@kernel
def arc_m(square: float) -> float:
    """Great-circle distance of two points whose unit vectors' difference has this *square* length, in metres."""
    return 2.0 * EARTH_RADIUS_M * math.asin(min(1.0, 0.5 * math.sqrt(square)))


def units(lat: Degrees, lng: Degrees) -> Floats:
    """f8[n, 3]: unit vectors of positions."""
    phi, lam = np.radians(np.asarray(lat, np.float64)), np.radians(np.asarray(lng, np.float64))
    ring = np.cos(phi)
    return np.stack([ring * np.cos(lam), ring * np.sin(lam), np.sin(phi)], axis=-1)


def distance_m(lat1: Degrees, lng1: Degrees, lat2: Degrees, lng2: Degrees) -> Floats:
    """f8[...]: great-circle distances in metres; the arguments broadcast. NaN gives NaN."""
    square = np.sum((units(lat1, lng1) - units(lat2, lng2)) ** 2, axis=-1)
    arcs: Floats = 2.0 * EARTH_RADIUS_M * np.arcsin(np.minimum(1.0, 0.5 * np.sqrt(square)))
    return arcs
