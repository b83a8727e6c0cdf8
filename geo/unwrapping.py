"""Rings as they are drawn → closed, unwrapped, and small enough to work on. Nothing here costs more than one pass.

Unwrapped: the first vertex of the fence stands where it was given, every other vertex within 180° of the one
before it (the first of a later ring: within 180° of the fence's first), so that a ring across ±180° goes on
past it. Then all is shifted by a whole turn, if need be, so that the westernmost vertex lies in [-180, 180):
fences that lie on the same side of ±180° keep their coordinates to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Final

import numpy as np

from geo.arrays import Floats, Ints, frozen
from geo.errors import FenceError
from geo.extent import area_m2, extents, ring_area_m2
from geo.kernels import allocating, kernel
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
    Rings,
    ends,
)

_LNG_LIMIT_DEG: Final = 540.0
_CORNERS: Final = 3
_KM: Final = 1_000.0
_KM2: Final = 1e6

_SOUND, _ENDLESS, _LAT, _LNG, _FEW, _POLE, _NEAR_POLE, _WIDE, _FAR, _TINY, _GREAT = range(11)
_WHY: Final = {
    _ENDLESS: "a coordinate is not a finite number",
    _LAT: f"latitude {{:.6g}} lies outside ±{LAT_MAX_DEG:g}°",
    _LNG: f"longitude {{:.6g}} lies outside ±{_LNG_LIMIT_DEG:g}°",
    _FEW: "a ring has {:.0f} distinct vertices, fewer than three",
    _POLE: "a ring goes around a pole",
    _NEAR_POLE: f"latitude {{:.6g}} is nearer to a pole than {90.0 - LAT_LIMIT_DEG:g}°",
    _WIDE: f"it spans {{:.6g}}° of longitude, more than {WIDTH_MAX_DEG:g}°",
    _FAR: f"it reaches {{:.0f}} km from its middle, more than {REACH_MAX_M / _KM:.0f} km",
    _TINY: f"a ring encloses less than {AREA_MIN_M2:g} m²",
    _GREAT: f"it covers {{:.0f}} km², more than {AREA_MAX_M2 / _KM2:.0f} km²",
}


def unwrapped(parts: Sequence[Sequence[Ring]]) -> Parts:
    """The rings as arrays. Raises `FenceError` for everything that one pass over the vertices can tell."""
    if not parts or not all(parts):
        raise FenceError("a polygon needs at least one ring")
    drawn = [ring for rings in parts for ring in rings]
    if (count := sum(map(len, drawn))) > VERTICES_MAX:
        raise FenceError(f"{count} vertices are more than {VERTICES_MAX}")
    given = np.fromiter(chain.from_iterable(chain.from_iterable(drawn)), np.float64)
    if len(given) != 2 * count:
        raise FenceError("a vertex is not a latitude and a longitude")
    outer = frozen([k == 0 for rings in parts for k in range(len(rings))], np.bool_)
    fence_ptr = frozen([0, len(drawn)], np.int32)
    raw = Rings(frozen(given.reshape(-1, 2), np.float64), ends(list(map(len, drawn))), outer, fence_ptr)
    vertex, ring_ptr = np.empty((count + len(drawn), 2)), np.zeros(len(drawn) + 1, np.int32)
    _raise_if(*_unwrap(raw, vertex, ring_ptr))
    vertex = frozen(vertex[: ring_ptr[-1]], np.float64)
    _raise_if(*_measured(Rings(vertex, frozen(ring_ptr, np.int32), outer, fence_ptr)))
    places = iter(zip(ring_ptr.tolist(), ring_ptr[1:].tolist(), strict=False))
    return [[vertex[slice(*next(places))] for _ in rings] for rings in parts]


def _raise_if(why: int, value: float) -> None:
    if why != _SOUND:
        raise FenceError(_WHY[why].format(value))


@kernel
def _unwrap(raw: Rings, vertex: Floats, ring_ptr: Ints) -> tuple[int, float]:
    """Write the rings closed and unwrapped, f8[V + R, 2] at most; what is wrong with them, and a number to tell it."""
    at, west = 0, np.inf
    for r in range(len(ring_ptr) - 1):
        why, value = _ranges(raw.vertex, raw.ring_ptr[r], raw.ring_ptr[r + 1])
        if why != _SOUND:
            return why, value
        first, at = at, _closed(raw.vertex, raw.ring_ptr[r], raw.ring_ptr[r + 1], vertex, at)
        ring_ptr[r + 1] = at
        if at - first <= _CORNERS:
            return _FEW, float(max(0, at - first - 1))
    home = vertex[0, 1]
    for r in range(len(ring_ptr) - 1):
        if not _laid_on(vertex, ring_ptr[r], ring_ptr[r + 1], home):
            return _POLE, 0.0
    for k in range(at):
        west = min(west, vertex[k, 1])
    shift = -360.0 * math.floor((west + 180.0) / 360.0)
    if shift != 0.0:
        for k in range(at):
            vertex[k, 1] += shift
    return _SOUND, 0.0


@kernel
def _ranges(given: Floats, first: int, end: int) -> tuple[int, float]:
    """Whether the coordinates are any."""
    lat = lng = 0.0
    for k in range(first, end):
        if not (math.isfinite(given[k, 0]) and math.isfinite(given[k, 1])):
            return _ENDLESS, 0.0
        lat, lng = max(lat, abs(given[k, 0])), max(lng, abs(given[k, 1]))
    if lat > LAT_MAX_DEG:
        return _LAT, lat
    return (_LNG, lng) if lng > _LNG_LIMIT_DEG else (_SOUND, 0.0)


@kernel
def _closed(given: Floats, first: int, end: int, vertex: Floats, start: int) -> int:
    """Write a ring closed, without a vertex twice in a row, from *start* on; its end."""
    at = start
    for k in range(first, end + 1 if end > first else end):
        from_k = k if k < end else first
        lat, lng = given[from_k, 0], given[from_k, 1]
        if at == start or lat != vertex[at - 1, 0] or lng != vertex[at - 1, 1]:
            vertex[at, 0], vertex[at, 1] = lat, lng
            at += 1
    return at


@kernel
def _laid_on(vertex: Floats, first: int, end: int, home: float) -> bool:
    """Lay each vertex within half a turn of the one before, the first of *home*; not if the ring goes around a pole."""
    turns, around, before = -np.rint((vertex[first, 1] - home) / 360.0), 0.0, vertex[first, 1]
    vertex[first, 1] += 360.0 * turns
    for k in range(first + 1, end):
        lng = vertex[k, 1]
        turn = -np.rint((lng - before) / 360.0)
        turns, around, before = turns + turn, around + (lng - before) + 360.0 * turn, lng
        vertex[k, 1] += 360.0 * turns
    return abs(around) <= 1.0


@allocating
def _measured(rings: Rings) -> tuple[int, float]:
    """Whether the fence, unwrapped, is of a place and size that can be worked on, as for `_unwrap`."""
    vertex, lat, west, east = rings.vertex, 0.0, np.inf, -np.inf
    for k in range(len(vertex)):
        lat, west, east = max(lat, abs(vertex[k, 0])), min(west, vertex[k, 1]), max(east, vertex[k, 1])
    if lat > LAT_LIMIT_DEG:
        return _NEAR_POLE, lat
    if east - west > WIDTH_MAX_DEG:
        return _WIDE, east - west
    around = np.zeros((1, 4))
    extents(rings, around)
    if around[0, 3] > REACH_MAX_M:
        return _FAR, around[0, 3] / _KM
    for r in range(len(rings.ring_ptr) - 1):
        if rings.outer[r] and ring_area_m2(vertex, rings.ring_ptr[r], rings.ring_ptr[r + 1]) < AREA_MIN_M2:
            return _TINY, 0.0
    area = area_m2(rings, 0)
    return (_GREAT, area / _KM2) if area > AREA_MAX_M2 else (_SOUND, 0.0)
