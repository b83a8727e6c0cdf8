"""Positions on the ground: WGS 84 degrees, latitude first. Ranges are checked here, before H3 sees a
coordinate.
"""

from __future__ import annotations

import math

import numpy as np

from geo.arrays import Flags, Floats
from geo.errors import PositionError

LAT_MAX_DEG = 90.0
LNG_MAX_DEG = 180.0


def valid(lat: Floats, lng: Floats) -> Flags:
    """bool[n]: finite, latitude within ±90° and longitude within ±180° (both ends belong). NaN is not valid."""
    ok: Flags = (np.abs(lat) <= LAT_MAX_DEG) & (np.abs(lng) <= LNG_MAX_DEG)
    return ok


def check_position(lat: float, lng: float) -> None:
    """Raise `PositionError` unless `valid` holds for this one position."""
    _check("latitude", lat, LAT_MAX_DEG)
    _check("longitude", lng, LNG_MAX_DEG)


def _check(name: str, value_deg: float, max_deg: float) -> None:
    if not math.isfinite(value_deg):
        raise PositionError(f"{name} is not a finite number")
    if abs(value_deg) > max_deg:
        raise PositionError(f"{name} {value_deg:.6g} lies outside ±{max_deg:g}°")
