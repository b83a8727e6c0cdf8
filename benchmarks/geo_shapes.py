"""Polygons by the thousand as flat arrays: random stars around a middle, some with a hole, some of two parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from geo.polygon import Polygon
from geo.units import EARTH_RADIUS_M

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

M_PER_DEG: Final = EARTH_RADIUS_M * np.pi / 180.0
_NEAREST: Final = 0.45
"""Of a star's reach: no vertex lies nearer to its middle."""
_HOLE: Final = 0.4
"""A hole is its outer ring, so much smaller: inside it, for rays from the middle meet a star's edge once."""
_APART: Final = 0.55
"""Of the reach: where the middles of two parts lie, on both sides of the fence's; each reaches the rest."""


@dataclass(frozen=True)
class Shapes:
    """N polygons as flat arrays. Rings are not closed; each part's first ring is its outer one."""

    vertex: Floats
    """f8[V, 2]: latitude and longitude in degrees."""
    ring_ptr: Longs
    """i8[R + 1]: the vertices of ring r are vertex[ring_ptr[r]:ring_ptr[r + 1]]."""
    part_ptr: Longs
    """i8[P + 1]: rings of each part."""
    fence_ptr: Longs
    """i8[N + 1]: parts of each polygon."""

    def __len__(self) -> int:
        return len(self.fence_ptr) - 1

    def fences(self, first_id: int) -> list[Polygon]:
        """Ours, numbered from *first_id* on."""
        corners = list(map(tuple, self.vertex.tolist()))
        ring, part, fence = self.ring_ptr.tolist(), self.part_ptr.tolist(), self.fence_ptr.tolist()
        rings = [tuple(corners[a:b]) for a, b in pairwise(ring)]
        parts = [tuple(rings[a:b]) for a, b in pairwise(part)]
        every = [tuple(parts[a:b]) for a, b in pairwise(fence)]
        return [Polygon(first_id + n, each) for n, each in enumerate(every)]

    @cached_property
    def geometries(self) -> NDArray[Any]:
        """Shapely's multipolygons, x = longitude, y = latitude."""
        size = np.diff(self.ring_ptr) + 1
        closed_ptr = np.concatenate([[0], np.cumsum(size)])
        within = np.arange(closed_ptr[-1]) - np.repeat(closed_ptr[:-1], size)
        taken = np.repeat(self.ring_ptr[:-1], size) + within % np.repeat(size - 1, size)
        swapped = np.ascontiguousarray(self.vertex[taken][:, ::-1])
        offsets = (closed_ptr, self.part_ptr, self.fence_ptr)
        made: NDArray[Any] = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, swapped, offsets)
        return made


def stars(random: np.random.Generator, at: tuple[Floats, Floats], reach_m: Floats, vertices: tuple[int, int]) -> Shapes:
    """Polygons around *at* (lat, lng) that reach *reach_m*; each ring has *vertices* (least, most) of them. One in ten
    has a hole, one in ten is of two parts.
    """
    lat, lng = at
    kind = random.integers(0, 10, len(lat))
    holed, split = kind == 0, kind == 1
    parts = 1 + split
    fence = np.repeat(np.arange(len(lat)), parts)
    which = np.arange(len(fence)) - np.repeat(np.cumsum(parts) - parts, parts)
    course = random.uniform(0.0, 2.0 * np.pi, len(lat))[fence]
    away_m = np.where(split[fence], _APART * reach_m[fence] * (1 - 2 * which), 0.0)
    size_m = np.where(split[fence], (1.0 - _APART), 1.0) * reach_m[fence]
    count = random.integers(vertices[0], vertices[1] + 1, len(fence))
    east_m, north_m = _star(random, size_m, count)
    # A hole's ring follows that of its part.
    rings = 1 + holed[fence]
    part = np.repeat(np.arange(len(fence)), rings)
    scale = np.where(np.arange(len(part)) == np.repeat(np.cumsum(rings) - rings, rings), 1.0, _HOLE)
    taken, ring = _gathered(np.cumsum(count) - count, count, part)
    of = part[ring]
    east = scale[ring] * east_m[taken] + (away_m * np.sin(course))[of]
    north = scale[ring] * north_m[taken] + (away_m * np.cos(course))[of]
    home_lat, home_lng = lat[fence[of]], lng[fence[of]]
    vertex = np.stack([home_lat + north / M_PER_DEG, home_lng + east / (M_PER_DEG * np.cos(np.radians(home_lat)))], -1)
    return Shapes(vertex, _ptr(count[part]), _ptr(rings), _ptr(parts))


def _star(random: np.random.Generator, size_m: Floats, count: Longs) -> tuple[Floats, Floats]:
    """(east, north) in metres of all rings' vertices, in turn; the first of each lies *size_m* away."""
    ring = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(ring)) - (np.cumsum(count) - count)[ring]
    course = 2.0 * np.pi * (within + 0.8 * random.random(len(ring))) / count[ring]
    away_m = size_m[ring] * np.where(within == 0, 1.0, random.uniform(_NEAREST, 1.0, len(ring)))
    return away_m * np.sin(course), away_m * np.cos(course)


def _gathered(start: Longs, count: Longs, rows: Longs) -> tuple[Longs, Longs]:
    """Places of the elements of *rows* of a ragged array, and the number (in *rows*) of the row each belongs to."""
    size = count[rows]
    row = np.repeat(np.arange(len(rows)), size)
    within = np.arange(len(row)) - (np.cumsum(size) - size)[row]
    return start[rows][row] + within, row


def _ptr(count: Longs) -> Longs:
    return np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
