"""Slow obvious twins of the ping index and the store index: everybody is asked, everything is sorted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import h3.api.basic_int as h3

from geo.leaves import LEAF_RES
from geo.sphere import arc_m, unit

Position = tuple[float, float]


def pair_distance_m(lat1: float, lng1: float, lat2: float, lng2: float) -> float:
    """Great-circle distance in metres, to the last bit as the kernels have it: who stands on a rim is asked for."""
    ax, ay, az = unit(lat1, lng1)
    bx, by, bz = unit(lat2, lng2)
    dx, dy, dz = ax - bx, ay - by, az - bz
    return arc_m(dx * dx + dy * dy + dz * dz)


class People:
    """Row → position."""

    def __init__(self) -> None:
        self.at: dict[int, Position] = {}

    def inside(self, lat: float, lng: float, radius_m: float) -> list[int]:
        """Rows at most that far away, ascending."""
        return sorted(row for row, at in self.at.items() if pair_distance_m(lat, lng, *at) <= radius_m)

    def nearest(self, lat: float, lng: float, k: int) -> list[tuple[float, int]]:
        """(distance_m, row) of the first *k* in that order."""
        return nearest(self.at, lat, lng, k)

    def density(self, res: int, k: int) -> dict[int, int]:
        """Cell → customers in it, from k on, by the h3 library."""
        leaves = (h3.latlng_to_cell(lat, lng, LEAF_RES) for lat, lng in self.at.values())
        counts = Counter(h3.cell_to_parent(leaf, res) for leaf in leaves)
        return {cell: count for cell, count in counts.items() if count >= k}


def nearest(
    places: Mapping[int, Position], lat: float, lng: float, k: int, most_m: float = float("inf")
) -> list[tuple[float, int]]:
    """(distance_m, id) of the first *k* in that order, no farther than *most_m*."""
    away: Iterable[tuple[float, int]] = ((pair_distance_m(lat, lng, *at), id) for id, at in places.items())
    return sorted(one for one in away if one[0] <= most_m)[:k]
