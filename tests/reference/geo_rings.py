"""Slow twin of `geo.unwrapping` and `geo.extent`: numpy, a ring at a time.

Unwrapped: the first vertex of the fence stands where it was given, every other vertex within 180° of the one
before it (the first of a later ring: within 180° of the fence's first), so that a ring across ±180° goes on
past it. Then all is shifted by a whole turn, if need be, so that the westernmost vertex lies in [-180, 180):
fences that lie on the same side of ±180° keep their coordinates to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from geo.arrays import Floats
from geo.errors import FenceError
from geo.position import LAT_MAX_DEG
from geo.rings import (
    AREA_MAX_M2,
    AREA_MIN_M2,
    LAT_LIMIT_DEG,
    REACH_MAX_M,
    VERTICES_MAX,
    WIDTH_MAX_DEG,
    Parts,
    Ring,
)
from geo.sphere import distance_m
from geo.units import EARTH_RADIUS_M

_LNG_LIMIT_DEG = 540.0
_PIECES = 512
_M_PER_DEG = EARTH_RADIUS_M * math.pi / 180.0


def unwrapped(parts: Sequence[Sequence[Ring]]) -> Parts:
    """The rings as arrays. Raises `FenceError` for everything that one pass over the vertices can tell."""
    if not parts or not all(parts):
        raise FenceError("a polygon needs at least one ring")
    if (count := sum(len(ring) for rings in parts for ring in rings)) > VERTICES_MAX:
        raise FenceError(f"{count} vertices are more than {VERTICES_MAX}")
    drawn = [[_array(ring) for ring in rings] for rings in parts]
    home = drawn[0][0][0, 1]
    for rings in drawn:
        for ring in rings:
            _unwrap(ring, home)
    every = np.concatenate([ring for rings in drawn for ring in rings])
    shift = -360.0 * math.floor((every[:, 1].min() + 180.0) / 360.0)
    if shift:
        for rings in drawn:
            for ring in rings:
                ring[:, 1] += shift
        every[:, 1] += shift
    _check_extent(every, drawn)
    _check_areas(drawn)
    return drawn


def _array(ring: Ring) -> Floats:
    """f8[n + 1, 2]: closed, without a vertex twice in a row."""
    array: Floats = np.array(ring, np.float64).reshape(-1, 2)
    if not np.isfinite(array).all():
        raise FenceError("a coordinate is not a finite number")
    if len(array) and (worst := np.abs(array[:, 0]).max()) > LAT_MAX_DEG:
        raise FenceError(f"latitude {worst:.6g} lies outside ±{LAT_MAX_DEG:g}°")
    if len(array) and (worst := np.abs(array[:, 1]).max()) > _LNG_LIMIT_DEG:
        raise FenceError(f"longitude {worst:.6g} lies outside ±{_LNG_LIMIT_DEG:g}°")
    closed: Floats = np.concatenate([array, array[:1]])
    moves = np.concatenate([[True], (np.diff(closed, axis=0) != 0.0).any(axis=1)])
    closed = closed[moves[: len(closed)]]
    if len(closed) < 4:
        raise FenceError(f"a ring has {max(0, len(closed) - 1)} distinct vertices, fewer than three")
    return closed


def _unwrap(ring: Floats, home: float) -> None:
    """Lay each vertex within half a turn of the one before."""
    steps = np.diff(ring[:, 1])
    turns = -np.round(steps / 360.0)
    if abs(np.sum(steps + 360.0 * turns)) > 1.0:
        raise FenceError("a ring goes around a pole")
    start = -np.round((ring[0, 1] - home) / 360.0)
    ring[:, 1] += 360.0 * (start + np.concatenate([[0.0], np.cumsum(turns)]))


def _check_extent(every: Floats, parts: Parts) -> None:
    if (worst := np.abs(every[:, 0]).max()) > LAT_LIMIT_DEG:
        raise FenceError(f"latitude {worst:.6g} is nearer to a pole than {90.0 - LAT_LIMIT_DEG:g}°")
    if (width := np.ptp(every[:, 1])) > WIDTH_MAX_DEG:
        raise FenceError(f"it spans {width:.6g}° of longitude, more than {WIDTH_MAX_DEG:g}°")
    if (reach_m := reach(parts)[2]) > REACH_MAX_M:
        raise FenceError(f"it reaches {reach_m / 1000:.0f} km from its middle, more than {REACH_MAX_M / 1000:.0f} km")


def _check_areas(parts: Parts) -> None:
    for rings in parts:
        if area_m2(rings[0]) < AREA_MIN_M2:
            raise FenceError(f"a ring encloses less than {AREA_MIN_M2:g} m²")
    if (area := fence_area_m2(parts)) > AREA_MAX_M2:
        raise FenceError(f"it covers {area / 1e6:.0f} km², more than {AREA_MAX_M2 / 1e6:.0f} km²")


def reach(parts: Parts) -> tuple[float, float, float]:
    """(lat, lng, metres): the middle of the vertices' box, and a radius around it that nothing of the fence leaves.

    Edges are cut into pieces; a point of one is nearer to its end than half the piece is long.
    """
    outer = [rings[0] for rings in parts]
    every = np.concatenate(outer)
    lat, lng = (every.min(axis=0) + every.max(axis=0)) / 2.0
    share = np.arange(1 + _PIECES // len(every))[:, None, None] / (1 + _PIECES // len(every))
    starts, steps = (
        np.concatenate([ring[:-1] for ring in outer]),
        np.concatenate([np.diff(ring, axis=0) for ring in outer]),
    )
    along = starts + share * steps
    away_m = distance_m(along[..., 0], along[..., 1], lat, lng).max()
    long_m = _M_PER_DEG * np.hypot(steps[:, 0], steps[:, 1] * math.cos(math.radians(np.abs(every[:, 0]).min()))).max()
    return float(lat), float((lng + 180.0) % 360.0 - 180.0), float(away_m + 0.5 * long_m / len(share) + 0.01)


def fence_area_m2(parts: Parts) -> float:
    """Of the outer rings less the holes, if no two parts overlap."""
    return sum(area_m2(rings[0]) - sum(map(area_m2, rings[1:])) for rings in parts)


def area_m2(ring: Floats) -> float:
    """Of one closed ring on the sphere: R² |Σ Δlng · mean of sin(lat)| (Chamberlain and Duquette 2007), the sines
    taken from the ring's middle, or a small ring loses its digits.
    """
    lat, lng = np.radians(ring[:, 0]), np.radians(ring[:, 1])
    middle = lat.mean()
    rise = 2.0 * np.cos((lat + middle) / 2.0) * np.sin((lat - middle) / 2.0)  # sin(lat) - sin(middle)
    return EARTH_RADIUS_M**2 * abs(float(np.sum(np.diff(lng) * (rise[1:] + rise[:-1]) / 2.0)))
