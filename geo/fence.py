"""A fence as it is drawn: a circle here, a polygon in `geo.polygon`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from geo.errors import FenceError
from geo.position import check_position

RADIUS_MAX_M = 50_000.0
DWELL_MAX_S = 86_400
_ID_END = 1 << 63


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle by great-circle distance. Raises `PositionError` or `FenceError` when made of impossible
    values.
    """

    fence: int
    """Stable id, int64; the same fence keeps it through every compile."""
    lat: float
    lng: float
    radius_m: float
    """0 < radius_m <= 50 km."""
    dwells_s: tuple[int, ...] = ()
    """Thresholds of dwell in whole seconds, 1 s to 24 h, any order, repeats allowed."""

    def __post_init__(self) -> None:
        check_terms(self.fence, self.dwells_s)
        check_position(self.lat, self.lng)
        if not math.isfinite(self.radius_m) or not 0.0 < self.radius_m <= RADIUS_MAX_M:
            raise FenceError(f"fence {self.fence}: radius {self.radius_m} m is not in (0, {RADIUS_MAX_M:g}] m")


def check_terms(fence: int, dwells_s: Iterable[int]) -> None:
    """Raise `FenceError` unless the id is an int64 and every dwell is 1 s to 24 h."""
    if not -_ID_END <= fence < _ID_END:
        raise FenceError(f"fence id {fence} is not a 64-bit integer")
    for dwell_s in dwells_s:
        if not 1 <= dwell_s <= DWELL_MAX_S:
            raise FenceError(f"fence {fence}: dwell {dwell_s} s is not in 1..{DWELL_MAX_S} s")
