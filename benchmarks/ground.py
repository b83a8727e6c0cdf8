"""Where a bench takes place: a square of fences, and customers who walk in it or step in and out of one fence."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MIDDLE = (60.17, 24.94)
"""lat, lng; any place with two digits before the point would do."""
METRES_A_DEGREE = 111_195.0
"""Of latitude on a sphere of radius 6,371,009 m."""
WALK_M_S = 1.4
"""Usual walking speed. Source: Bohannon 1997, "Comfortable and maximum walking speed of adults"."""
AWAY_M = 1_000.0


class Movers(Protocol):
    """Customers 0..n-1 and where they are when they are asked."""

    def positions(self, first: int, end: int, at_s: float) -> tuple[Floats, Floats]:
        """(lat, lng) in degrees of customers [first, end) at *at_s*, epoch seconds; asked in order of time."""


class Square:
    """*fences* circles at random in a square of *side_m* metres: the same for the same seed."""

    def __init__(self, seed: int, side_m: float, fences: int) -> None:
        self.side_m = side_m
        random = np.random.default_rng([seed, 1])
        self.fence_east_m = random.uniform(-side_m / 2, side_m / 2, fences)
        self.fence_north_m = random.uniform(-side_m / 2, side_m / 2, fences)

    @property
    def fences(self) -> tuple[Floats, Floats]:
        """(lat, lng) of the centres."""
        return degrees(self.fence_east_m, self.fence_north_m)


class Walkers:
    """Everybody walks straight on and turns back at the rim of the square."""

    def __init__(self, seed: int, side_m: float, customers: int) -> None:
        random = np.random.default_rng([seed, 2])
        self._side_m = side_m
        self._start_m = random.uniform(0.0, 2 * side_m, (2, customers))
        heading = random.uniform(0.0, 2 * np.pi, customers)
        self._speed_m_s = WALK_M_S * np.stack([np.cos(heading), np.sin(heading)])
        self._began_s: float | None = None

    def positions(self, first: int, end: int, at_s: float) -> tuple[Floats, Floats]:
        """A function of the time since the first question, so nobody jumps however long nobody asks."""
        if self._began_s is None:
            self._began_s = at_s
        walked = self._start_m[:, first:end] + self._speed_m_s[:, first:end] * (at_s - self._began_s)
        # Unfolded, the square repeats as its mirror image: there and back again is twice its side.
        unfolded = walked % (2 * self._side_m)
        east_m, north_m = np.minimum(unfolded, 2 * self._side_m - unfolded) - self._side_m / 2
        return degrees(east_m, north_m)


class Steppers:
    """Everybody is at the first fence's middle and far outside by turns, one step an asking."""

    def __init__(self, square: Square, customers: int) -> None:
        self._east_m = float(square.fence_east_m[0])
        self._north_m = float(square.fence_north_m[0])
        self._inside = np.zeros(customers, np.bool_)

    def positions(self, first: int, end: int, at_s: float) -> tuple[Floats, Floats]:
        """Inside at the first asking, outside at the second, and so on."""
        self._inside[first:end] ^= True
        east_m = self._east_m + np.where(self._inside[first:end], 0.0, AWAY_M)
        return degrees(east_m, np.full(end - first, self._north_m))


def degrees(east_m: Floats, north_m: Floats) -> tuple[Floats, Floats]:
    """(lat, lng) of places beside `MIDDLE`, flat: good to a metre over the few kilometres used here."""
    lat = MIDDLE[0] + north_m / METRES_A_DEGREE
    lng = MIDDLE[1] + east_m / (METRES_A_DEGREE * np.cos(np.radians(MIDDLE[0])))
    return lat, lng
