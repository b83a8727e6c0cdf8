"""Every fence asked for every point, by other means than the product's: circles by haversines in numpy, polygons by
shapely. Cases have their points on purpose near the fences' edges.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import h3.api.basic_int as h3
import numpy as np
import shapely

from geo.arrays import Flags, Floats
from geo.compiling import Fence
from geo.fence import Circle
from geo.match import Pairs
from geo.sphere import units
from geo.units import EARTH_RADIUS_M
from tests.reference.geo_ground import M_PER_DEG
from tests.reference.geo_polygons import Parts, archipelago, edges, polygon

Sides = list[tuple[tuple[float, float], tuple[float, float]]]

NEAREST_M: Final = 1e-3
FARTHEST_M: Final = 10.0
"""Points are planted so far from edges, on both sides, evenly on a logarithmic scale."""
POLE_DEG: Final = 88.0
"""Beyond it there are circles only: no polygon comes nearer to a pole than a degree."""


def _face_edge() -> tuple[float, float]:
    """Halfway between two neighbouring corners of H3's icosahedron."""
    at = units(*np.array([h3.cell_to_latlng(cell) for cell in h3.get_pentagons(0)]).T)
    x, y, z = at[0] + at[int(np.argsort(at @ at[0])[-2])]
    return float(np.degrees(np.arctan2(z, np.hypot(x, y)))), float(np.degrees(np.arctan2(y, x)))


PLACES: Final[dict[str, tuple[float, float]]] = {
    "Helsinki": (60.17, 24.94),
    "the equator": (0.0, 32.6),
    "the equator at ±180°": (0.0, 180.0),
    "Fiji, at ±180°": (-16.8, -179.99),
    "78° north": (78.22, 15.65),
    "78° north at ±180°": (78.0, 179.999),
    "a corner of the icosahedron": h3.cell_to_latlng(sorted(h3.get_pentagons(0))[3]),
    "a pentagon of the leaves": h3.cell_to_latlng(sorted(h3.get_pentagons(11))[7]),
    "an edge of the icosahedron": _face_edge(),
    "the north pole": (90.0, 0.0),
    "beside the south pole": (-89.995, 60.0),
}


class Tried(NamedTuple):
    """What a check found: how many tests, how many of them by kind and side within some distance of the edge."""

    tests: int
    near: dict[str, int]
    """"circle inside", "circle outside", "polygon inside", "polygon outside": tests of `NEAREST_M` to 1 cm."""
    wrong_m: Floats
    """Distances from the edge of the tests that disagree; NaN of a pair that is given twice."""


@dataclass(frozen=True)
class Case:
    """F fences, circles first, with the ids 0..F-1; P points."""

    circles: Sequence[Circle]
    shapes: Sequence[Parts]
    """Unwrapped rings, as `tests.reference.geo_polygons` has them."""
    lat: Floats
    lng: Floats

    def fences(self) -> list[Fence]:
        """The product's."""
        first = len(self.circles)
        return [*self.circles, *(polygon(first + n, parts) for n, parts in enumerate(self.shapes))]

    @cached_property
    def held(self) -> Flags:
        """bool[P, F]: whether the fence holds the point."""
        return np.concatenate([self._beyond_m <= 0.0, self._polygons[0]], axis=1)

    @cached_property
    def rim_m(self) -> Floats:
        """f8[P, F]: how far the point lies from the edge, on either side."""
        return np.concatenate([np.abs(self._beyond_m), self._polygons[1]], axis=1)

    @cached_property
    def _beyond_m(self) -> Floats:
        """f8[P, C]: haversine distance from the middle (Sinnott 1984), less the radius."""
        lat, lng, radius_m = np.array([(one.lat, one.lng, one.radius_m) for one in self.circles]).T
        rise, swing = np.radians(self.lat[:, None] - lat) / 2.0, np.radians(self.lng[:, None] - lng) / 2.0
        cosines = np.cos(np.radians(self.lat))[:, None] * np.cos(np.radians(lat))
        square = np.sin(rise) ** 2 + cosines * np.sin(swing) ** 2
        return np.asarray(2.0 * EARTH_RADIUS_M * np.arcsin(np.minimum(1.0, np.sqrt(square))) - radius_m)

    @cached_property
    def _polygons(self) -> tuple[Flags, Floats]:
        """(held, distance to the boundary on the plane of the polygon's middle) bool and f8[P, N]."""
        held = np.zeros((len(self.lat), len(self.shapes)), np.bool_)
        rim_m = np.zeros(held.shape)
        for n, parts in enumerate(self.shapes):
            flat = shapely.MultiPolygon(
                [(_swapped(rings[0]), [_swapped(hole) for hole in rings[1:]]) for rings in parts]
            )
            shapely.prepare(flat)
            west, _, east, _ = flat.bounds
            lng = self.lng - 360.0 * np.round((self.lng - (west + east) / 2.0) / 360.0)
            held[:, n] = shapely.contains_xy(flat, lng, self.lat)
            wide = np.cos(np.radians(parts[0][0][0][0]))
            scale = M_PER_DEG * np.array([wide, 1.0])
            boundary = shapely.transform(flat.boundary, lambda at, scale=scale: at * scale)
            rim_m[:, n] = shapely.distance(boundary, shapely.points(lng * scale[0], self.lat * scale[1]))
        return held, rim_m


def case(seed: int, at: tuple[float, float], circles: int, polygons: int, points: int) -> Case:
    """Fences of all sizes within a few kilometres of *at*, and *points* on both sides of their edges; every tenth lies
    anywhere among them.
    """
    dice = random.Random(seed)
    numbers = np.random.default_rng(seed)
    homes = [
        _wrapped(*_moved(*at, 10.0 ** numbers.uniform(0.0, 3.7), _course(numbers))) for _ in range(circles + polygons)
    ]
    rounds = [Circle(n, *home, 10.0 ** dice.uniform(0.5, 4.0)) for n, home in enumerate(homes[:circles])]
    shapes = [_drawn(dice, home) for home in homes[circles:]] if abs(at[0]) < POLE_DEG else []
    sides = [list(edges(parts)) for parts in shapes]
    planted = [_planted(numbers, dice, rounds, sides) for _ in range(points)]
    for n in range(0, points, 10):
        planted[n] = _moved(*at, 10.0 ** numbers.uniform(0.0, 4.0), _course(numbers))
    lat, lng = np.array([_wrapped(*one) for one in planted]).T
    return Case(rounds, shapes, np.ascontiguousarray(lat), np.ascontiguousarray(lng))


def check(one: Case, found: Pairs) -> Tried:
    """Hold *found*, in any order, against every point and every fence."""
    got = np.zeros(one.held.shape, np.int64)
    np.add.at(got, (found.point, found.fence), 1)
    wrong_m = np.concatenate([one.rim_m[(got > 0) != one.held], np.full(np.count_nonzero(got > 1), np.nan)])
    close = (one.rim_m >= NEAREST_M) & (one.rim_m <= 10.0 * NEAREST_M)
    kinds = np.arange(one.held.shape[1]) < len(one.circles)
    near = {
        f"{kind} {side}": int(np.count_nonzero(close[:, of] & (one.held[:, of] == inside)))
        for kind, of in (("circle", kinds), ("polygon", ~kinds))
        for side, inside in (("inside", True), ("outside", False))
    }
    return Tried(one.held.size, near, wrong_m)


def _drawn(dice: random.Random, home: tuple[float, float]) -> Parts:
    """A star, now and then with a hole, an island in it, or a part beside it; seldom with thousands of corners."""
    corners = dice.choice([5, 8, 12, 30, 64, 300]) if dice.random() < 0.97 else 4_000
    size_m = 10.0 ** dice.uniform(1.0, 3.7)
    most = 3 if size_m > 500.0 else 1 if size_m > 50.0 else 0  # no ring may enclose less than a square metre
    return archipelago(dice, home, size_m, corners, dice.randint(0, most))


def _planted(
    numbers: np.random.Generator, dice: random.Random, rounds: Sequence[Circle], sides: Sequence[Sides]
) -> tuple[float, float]:
    """A place beside the edge of one of the fences."""
    off_m = 10.0 ** numbers.uniform(np.log10(NEAREST_M), np.log10(FARTHEST_M)) * dice.choice([-1.0, 1.0])
    which = dice.randrange(len(rounds) + len(sides))
    if which < len(rounds):
        one = rounds[which]
        return _moved(one.lat, one.lng, abs(one.radius_m + off_m), _course(numbers))
    a, b = dice.choice(sides[which - len(rounds)])
    share = dice.choice([dice.random(), dice.random(), 0.0])
    return _beside(a, b, share, off_m)


def _beside(a: tuple[float, float], b: tuple[float, float], share: float, off_m: float) -> tuple[float, float]:
    """Off the point at that share of an edge, at a right angle."""
    lat, lng = a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
    wide = np.cos(np.radians(lat))
    north, east = b[0] - a[0], (b[1] - a[1]) * wide
    long = max(np.hypot(north, east), 1e-300)
    return lat + off_m / M_PER_DEG * east / long, lng - off_m / M_PER_DEG * north / long / wide


def _moved(lat: float, lng: float, away_m: float, course: float) -> tuple[float, float]:
    """So far along a great circle (Williams, "Aviation formulary")."""
    phi, away = np.radians(lat), away_m / EARTH_RADIUS_M
    to = np.arcsin(np.clip(np.sin(phi) * np.cos(away) + np.cos(phi) * np.sin(away) * np.cos(course), -1.0, 1.0))
    swing = np.arctan2(np.sin(course) * np.sin(away) * np.cos(phi), np.cos(away) - np.sin(phi) * np.sin(to))
    return float(np.degrees(to)), float(lng + np.degrees(swing))


def _course(numbers: np.random.Generator) -> float:
    return float(numbers.uniform(0.0, 2.0 * np.pi))


def _wrapped(lat: float, lng: float) -> tuple[float, float]:
    return min(90.0, max(-90.0, lat)), lng if -180.0 <= lng <= 180.0 else (lng + 180.0) % 360.0 - 180.0


def _swapped(ring: Sequence[tuple[float, float]]) -> Floats:
    return np.array(ring, np.float64)[:, ::-1]
