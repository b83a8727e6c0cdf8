"""Pairs of points and the fences that hold them: whether two answers are the same but for the rims of fences."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import shapely

from benchmarks.geo_ground import World
from benchmarks.geo_shapes import M_PER_DEG, Floats, Longs
from geo.sphere import distance_m

EDGE_M: Final = 1e-3
"""Every peer may round by so much."""


class Pairs(NamedTuple):
    """M pairs in any order."""

    point: Longs
    """i8[M]"""
    fence: Longs
    """i8[M]"""


def differing(world: World, ours: Pairs, theirs: Pairs, rim_share: float) -> int:
    """How many pairs are in one answer only. Raises RuntimeError when one of them lies farther than `EDGE_M` from its
    fence's edge, of a circle *rim_share* of its radius farther; or when an answer names a pair twice.
    """
    fences = len(world)
    one, other = (np.sort(pairs.point * fences + pairs.fence) for pairs in (ours, theirs))
    for name, keys in (("ours", one), ("the peer", other)):
        if (keys[1:] == keys[:-1]).any():
            raise RuntimeError(f"{name} names a pair twice")
    point, fence = np.divmod(np.setxor1d(one, other, assume_unique=True), fences)
    for p, f in zip(point.tolist(), fence.tolist(), strict=True):
        allowed_m = EDGE_M + (rim_share * float(world.radius_m[f]) if f < world.circles else 0.0)
        if (away_m := edge_m(world, p, f)) > allowed_m:
            raise RuntimeError(f"ours and the peer differ about point {p} and fence {f}, {away_m:.3f} m from its edge")
    return len(point)


def edge_m(world: World, point: int, fence: int) -> float:
    """How far a point lies from a fence's edge, on either side of it; by other means than any of those measured."""
    lat, lng = (float(axis[point]) for axis in world.points)
    if fence < world.circles:
        middle = float(world.places.lat[fence]), float(world.places.lng[fence])
        return abs(float(distance_m(lat, lng, *middle)) - float(world.radius_m[fence]))
    wide = np.cos(np.radians(lat))
    shape = world.shapes.geometries[fence - world.circles]

    def flat(lng_lat: Floats) -> Floats:
        return np.stack([(lng_lat[:, 0] - lng) * M_PER_DEG * wide, (lng_lat[:, 1] - lat) * M_PER_DEG], -1)

    return float(shapely.distance(shapely.transform(shape, flat).boundary, shapely.Point(0.0, 0.0)))
