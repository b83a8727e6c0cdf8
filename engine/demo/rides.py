"""Phones that do not stroll: couriers who pass the same shop again and again, and a guest who tours the live shops.

They ride along the real streets, each on its own closed line, at a steady speed that is made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.demo.noise import Noise, calibrated
from engine.demo.plane import Floats, Ints
from engine.demo.streets import Streets
from engine.demo.walkers import Places

COURIER_M_S, GUEST_M_S = 8.0, 6.0
AWAY_M, NEIGHBOURS = 95.0, 3
"""A courier turns back this far from the shop: beyond the fence, its margin and the receiver's usual error."""


@dataclass(frozen=True)
class Line:
    """A closed line: points in metres on the streets' plane and the way to each; `length_m` is once round."""

    east_m: Floats
    north_m: Floats
    along_m: Floats

    @property
    def length_m(self) -> float:
        """Once round."""
        return float(self.along_m[-1])

    def at(self, ridden_m: float) -> tuple[float, float]:
        """(east, north) after that way, however many times round."""
        along_m = ridden_m % self.length_m
        return float(np.interp(along_m, self.along_m, self.east_m)), float(
            np.interp(along_m, self.along_m, self.north_m)
        )


class Rides:
    """The riders' reports; `phone` names them in the order of the lines."""

    def __init__(
        self, streets: Streets, phone: Sequence[int], lines: Sequence[Line], speed_m_s: Sequence[float]
    ) -> None:
        self.phone: Ints = np.array(phone, dtype=np.int64)
        self._streets, self._lines, self._speed_m_s = streets, lines, speed_m_s
        self._noise = Noise(calibrated(), len(lines), np.random.default_rng(len(lines)))
        self._last_s = 0.0

    def report(self, ridden_s: float) -> tuple[Floats, Floats, Floats]:
        """(lat_deg, lng_deg, accuracy_m) of every rider, *ridden_s* seconds after the start."""
        self._noise.advance(ridden_s - self._last_s)
        self._last_s = ridden_s
        spots = [line.at(speed * ridden_s) for line, speed in zip(self._lines, self._speed_m_s, strict=True)]
        east_m, north_m = (np.array([spot[axis] for spot in spots]) for axis in (0, 1))
        off_east_m, off_north_m = self._noise.errors_m()
        lat_deg, lng_deg = self._streets.plane.to_degrees(east_m + off_east_m, north_m + off_north_m)
        return lat_deg, lng_deg, self._noise.accuracy_m()


def rides(places: Places, live: int, couriers: Sequence[int], guest: int | None) -> Rides:
    """Couriers, each at one of the first *live* places in turn, and a *guest* (None: moved by others) touring them.

    The ways are those the walkers know already: no new search.
    """
    loops = [_there_and_back(places, place) for place in range(live)]
    lines = [loops[n % live] for n in range(len(couriers))]
    speeds = [COURIER_M_S] * len(couriers)
    if guest is None:
        return Rides(places.streets, couriers, lines, speeds)
    tour = _tour(places, live)
    return Rides(places.streets, [*couriers, guest], [*lines, tour], [*speeds, GUEST_M_S])


def _there_and_back(places: Places, place: int) -> Line:
    """From the door to the nearest street corner at least `AWAY_M` off, and back."""
    streets, door = places.streets, int(places.node[place])
    away_m = np.hypot(streets.east_m - streets.east_m[door], streets.north_m - streets.north_m[door])
    home = _way(places, int(np.argmin(np.where(away_m >= AWAY_M, away_m, np.inf))), place)
    return _line(streets, [*home[::-1], *home[1:]])


def _tour(places: Places, live: int) -> Line:
    """Through all doors, each time to the one nearest as the crow flies, and home; it begins where shops are close."""
    streets, doors = places.streets, places.node[:live]
    east_m, north_m = streets.east_m[doors], streets.north_m[doors]
    away_m = np.hypot(east_m[:, None] - east_m, north_m[:, None] - north_m)
    order = [int(np.argmin(np.sort(away_m, axis=1)[:, min(NEIGHBOURS, live - 1)]))]
    while len(order) < live:
        left_m = away_m[order[-1]].copy()
        left_m[order] = np.inf
        order.append(int(np.argmin(left_m)))
    nodes = [int(doors[order[0]])]
    for place in [*order[1:], order[0]]:
        nodes += _way(places, nodes[-1], place)[1:]
    return _line(streets, nodes)


def _way(places: Places, start: int, place: int) -> list[int]:
    """Nodes of a shortest way from *start* to a place's door, both included."""
    nodes, door = [start], int(places.node[place])
    while nodes[-1] != door:
        nodes.append(int(places.onward[place, nodes[-1]]))
    return nodes


def _line(streets: Streets, nodes: Sequence[int]) -> Line:
    east_m, north_m = streets.east_m[list(nodes)], streets.north_m[list(nodes)]
    steps_m = np.hypot(np.diff(east_m), np.diff(north_m))
    return Line(east_m, north_m, np.concatenate([[0.0], np.cumsum(steps_m)]))
