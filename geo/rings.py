"""Rings of polygons, one after the other in flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from geo.arrays import Flags, Floats, Ints, frozen

Ring: TypeAlias = Sequence[tuple[float, float]]
"""(lat, lng) of each vertex; the last may repeat the first."""
Parts: TypeAlias = list[list[Floats]]
"""Polygons, each its outer ring and then its holes: f8[n + 1, 2], (lat, lng), closed."""

VERTICES_MAX = 10_000
LAT_LIMIT_DEG = 89.0
"""Nearer to a pole a degree of longitude is too short for straight edges and local distances to mean much."""
WIDTH_MAX_DEG = 90.0
REACH_MAX_M = 250_000.0
AREA_MAX_M2 = 50_000e6
AREA_MIN_M2 = 1.0


class Rings(NamedTuple):
    """Of F fences; a circle has none."""

    vertex: Floats
    """f8[V, 2]: (lat, lng) in degrees."""
    ring_ptr: Ints
    """i4[R + 1]: vertices of ring r are [ring_ptr[r], ring_ptr[r + 1])."""
    outer: Flags
    """bool[R]: no hole."""
    fence_ptr: Ints
    """i4[F + 1]: rings of fence f."""


def rings_of(each: Sequence[Parts]) -> Rings:
    """The rings of polygons, in order."""
    rings = [ring for parts in each for rings in parts for ring in rings]
    outer = [k == 0 for parts in each for rings in parts for k in range(len(rings))]
    vertex = frozen(np.concatenate([np.empty((0, 2)), *rings]), np.float64)
    counts = [sum(map(len, parts)) for parts in each]
    return Rings(vertex, ends([len(ring) for ring in rings]), frozen(outer, np.bool_), ends(counts))


def ends(counts: Sequence[int] | Ints) -> Ints:
    """i4[n + 1]: where runs of these lengths begin, one after the other, and where the last ends."""
    return frozen(np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)]), np.int32)
