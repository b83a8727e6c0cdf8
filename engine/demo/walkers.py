"""Phones walking the streets: from place to place by the shortest way, staying a while in shops, all at once
in numpy.

Real: the streets, the shops, the shape of the receivers' errors. Made up: who walks, where to, how fast, how
long a stay. The same seed gives the same walk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.demo.city import City, Shop
from engine.demo.noise import Noise, calibrated
from engine.demo.plane import Floats, Ints
from engine.demo.streets import Streets, with_doors

SLOWEST_M_S, FASTEST_M_S = 0.9, 1.7  # around a comfortable 1.3–1.5: Bohannon, Age and Ageing 26(1), 1997
MEAN_STAY_S = 240.0  # in a shop; exponential
CORNERS = 40  # street corners that are somebody's aim, beside the shops


@dataclass(frozen=True)
class Pings:
    """One report a phone, as columns of equal length; `accuracy_m` is claimed, `at_ms` epoch."""

    phone: Ints
    lat_deg: Floats
    lng_deg: Floats
    accuracy_m: Floats
    at_ms: Ints

    def __len__(self) -> int:
        return len(self.phone)


@dataclass(frozen=True)
class Places:
    """Where people go: two nodes of `streets` or more, each one's draw (sum one), the mean stay in seconds."""

    streets: Streets
    node: Ints
    draw: Floats
    mean_stay_s: Floats

    @cached_property
    def onward(self) -> Ints:
        """For each place and node: the next node of a shortest way there, shape (places, nodes)."""
        return np.stack([self.streets.toward(int(node))[0] for node in self.node])


def places(city: City, streets: Streets, favoured: Sequence[Shop], others: int, seed: int) -> Places:
    """The doors of the *favoured* shops (each draws fourfold), of *others* more, and street corners."""
    random = np.random.default_rng(seed)
    liked = {shop.place_id for shop in favoured}
    rest = [shop for shop in city.shops if shop.place_id not in liked]
    picked = random.choice(len(rest), size=min(others, len(rest)), replace=False)
    doors = [*favoured, *(rest[n] for n in np.sort(picked))]
    lat_deg, lng_deg = (np.array([getattr(shop, axis) for shop in doors]) for axis in ("lat_deg", "lng_deg"))
    corners = np.sort(random.choice(len(streets), size=CORNERS, replace=False))
    wider, door_nodes = with_doors(streets, *city.plane.to_metres(lat_deg, lng_deg))
    draw = np.concatenate([np.full(len(favoured), 4.0), np.ones(len(doors) - len(favoured) + CORNERS)])
    stay_s = np.concatenate([np.full(len(doors), MEAN_STAY_S), np.zeros(CORNERS)])
    return Places(wider, np.concatenate([door_nodes, corners]), draw / draw.sum(), stay_s)


class Walkers:
    """*count* phones, all out on the streets at first. Each reports at its own moment within *period_s*."""

    def __init__(self, places: Places, count: int, period_s: float, seed: int) -> None:
        self._places, self._onward = places, places.onward
        self._random = np.random.default_rng(seed)
        self._noise = Noise(calibrated(), count, np.random.default_rng((seed, 1)))
        self._east_m, self._north_m = places.streets.east_m, places.streets.north_m
        self._phone = np.arange(count)
        self._phase_ms = self._random.integers(0, max(1, round(period_s * 1_000)), count)
        self._speed_m_s = self._random.uniform(SLOWEST_M_S, FASTEST_M_S, count)
        self._stay_s = np.zeros(count)
        self._goal = self._drawn(count)
        self._from = self._random.integers(0, len(places.streets), count)
        self._to = self._onward[self._goal, self._from]
        self._along_m = self._random.uniform(0, 1, count) * self._edge_m(self._phone)
        self._last_ms: int | None = None

    def tick(self, now_ms: int) -> Pings:
        """Walk up to *now_ms* (epoch, not before the last one) and report, with the receivers' errors."""
        elapsed_s = 0.0 if self._last_ms is None else (now_ms - self._last_ms) / 1_000
        self._last_ms = now_ms
        self._walk(elapsed_s)
        self._noise.advance(elapsed_s)
        (east_m, north_m), (off_east_m, off_north_m) = self.true_m(), self._noise.errors_m()
        lat_deg, lng_deg = self._places.streets.plane.to_degrees(east_m + off_east_m, north_m + off_north_m)
        return Pings(self._phone, lat_deg, lng_deg, self._noise.accuracy_m(), now_ms - self._phase_ms)

    def true_m(self) -> tuple[Floats, Floats]:
        """Where the phones really are, metres (east, north) on the streets' plane."""
        edge_m = self._edge_m(self._phone)
        part = np.divide(self._along_m, edge_m, out=np.zeros_like(edge_m), where=edge_m > 0)
        start, end = self._from, self._to
        east_m = self._east_m[start] + part * (self._east_m[end] - self._east_m[start])
        return east_m, self._north_m[start] + part * (self._north_m[end] - self._north_m[start])

    def _walk(self, elapsed_s: float) -> None:
        """Spend *elapsed_s* on staying and walking, edge by edge, until nobody has time left."""
        left_s = np.full(len(self._phone), elapsed_s)
        who = self._phone
        while len(who := who[left_s[who] > 0]):
            stayed_s = np.minimum(self._stay_s[who], left_s[who])
            self._stay_s[who] -= stayed_s
            left_s[who] -= stayed_s
            ahead_m = self._edge_m(who) - self._along_m[who]
            needed_s = ahead_m / self._speed_m_s[who]
            arrives = (needed_s <= left_s[who]) & (self._stay_s[who] == 0)  # a goal may be where one stays
            walked_s = np.minimum(needed_s, left_s[who])
            self._along_m[who] += walked_s * self._speed_m_s[who]
            left_s[who] -= walked_s
            who = who[arrives]
            self._turn(who)

    def _turn(self, who: Ints) -> None:
        """At the end of an edge: those at their goal stay and choose another, then all face onward."""
        self._from[who] = self._to[who]
        self._along_m[who] = 0.0
        there = who[self._from[who] == self._places.node[self._goal[who]]]
        self._stay_s[there] = self._random.exponential(self._places.mean_stay_s[self._goal[there]])
        self._goal[there] = self._drawn(len(there))
        self._to[who] = self._onward[self._goal[who], self._from[who]]

    def _drawn(self, count: int) -> Ints:
        return self._random.choice(len(self._places.node), size=count, p=self._places.draw)

    def _edge_m(self, who: Ints) -> Floats:
        start, end = self._from[who], self._to[who]
        return np.hypot(self._east_m[end] - self._east_m[start], self._north_m[end] - self._north_m[start])
