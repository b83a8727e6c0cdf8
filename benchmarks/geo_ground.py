"""Where the geometry's benches take place: fences and points of a real city laid side by side, or spread evenly.

The city is the centre of Helsinki as the demo carries it (© OpenStreetMap contributors, ODbL): 908 shops on 1.7 km².
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from benchmarks.bars import Plan
from benchmarks.geo_shapes import M_PER_DEG, Floats, Longs, Shapes, stars
from engine.demo.city import read_city
from engine.demo.streets import edges, read_streets
from geo.compiling import Fence
from geo.fence import Circle

KINDS: Final = ("real", "uniform")
_BESIDE_M: Final = 5.0
"""Standard deviation of a point from its street's middle: a receiver's error."""


@dataclass(frozen=True)
class Places:
    """Middles of fences, and points among them; degrees."""

    lat: Floats
    lng: Floats
    point_lat: Floats
    point_lng: Floats


@dataclass(frozen=True)
class World:
    """F fences with the ids 0..F-1: first the circles, then the polygons. And points."""

    places: Places
    radius_m: Floats
    """f8[C]: of the circles, whose middles are the first C of the places."""
    shapes: Shapes

    @property
    def circles(self) -> int:
        return len(self.radius_m)

    def __len__(self) -> int:
        return len(self.radius_m) + len(self.shapes)

    @property
    def points(self) -> tuple[Floats, Floats]:
        """(lat, lng) of all points."""
        return self.places.point_lat, self.places.point_lng

    def fences(self) -> list[Fence]:
        """Ours."""
        middles = zip(self.places.lat.tolist(), self.places.lng.tolist(), self.radius_m.tolist(), strict=False)
        circles: list[Fence] = [Circle(n, *each) for n, each in enumerate(middles)]
        return circles + self.shapes.fences(len(circles))


@dataclass(frozen=True)
class City:
    """One tile: shops' positions, streets' pieces, and by how much the next tile lies farther on. All degrees."""

    shop: Floats
    """f8[S, 2]: lat, lng."""
    start: Floats
    """f8[E, 2]: where each piece of a street begins."""
    end: Floats
    share: Floats
    """f8[E]: of the length of all streets, in ascending sums."""
    size: tuple[float, float]


def world(plan: Plan, kind: str, count: int, polygon_share: float) -> World:
    """*count* fences of a kind of `KINDS`, the same for the same plan; the last *polygon_share* are polygons."""
    random = np.random.default_rng([plan.seed, KINDS.index(kind), count, round(100 * polygon_share)])
    points = plan.count("points")
    if kind == "real":
        places, least_m, most_m = real(random, count, points), *_radii(plan, "real_")
    else:
        places, least_m, most_m = uniform(random, count, points, _per_km2(plan)), *_radii(plan, "")
    reach_m = np.exp(random.uniform(np.log(least_m), np.log(most_m), count))
    circles = count - round(count * polygon_share)
    vertices = (plan.count("vertices_least"), plan.count("vertices_most"))
    at = (places.lat[circles:], places.lng[circles:])
    return World(places, reach_m[:circles], stars(random, at, reach_m[circles:], vertices))


def _per_km2(plan: Plan) -> float:
    return plan.workload.get("uniform_per_km2") or plan.number("per_km2")


def _radii(plan: Plan, prefix: str) -> tuple[float, float]:
    return plan.number(f"{prefix}radius_least_m"), plan.number(f"{prefix}radius_most_m")


def real(random: np.random.Generator, count: int, points: int) -> Places:
    """Shops of the city, laid side by side as often as it takes, in any order; points along all tiles' streets."""
    city = helsinki()
    tile = _tiles(city, -(-count // len(city.shop)))
    lat, lng = (tile[:, None, :] + city.shop).reshape(-1, 2)[random.permutation(len(tile) * len(city.shop))[:count]].T
    piece = np.searchsorted(city.share, random.random(points), side="right")
    along = random.random((points, 1))
    at = city.start[piece] * (1.0 - along) + city.end[piece] * along + tile[random.integers(0, len(tile), points)]
    beside = random.normal(0.0, _BESIDE_M / M_PER_DEG, (points, 2))
    beside[:, 1] /= np.cos(np.radians(at[:, 0]))
    return Places(np.ascontiguousarray(lat), np.ascontiguousarray(lng), *np.ascontiguousarray((at + beside).T))


def uniform(random: np.random.Generator, count: int, points: int, per_km2: float) -> Places:
    """Evenly on a square piece of the sphere around 60° north, large enough for *per_km2* fences."""
    side_deg = np.sqrt(count / per_km2) * 1_000.0 / M_PER_DEG
    south, north = np.sin(np.radians([60.0 - side_deg / 2, 60.0 + side_deg / 2]))
    wide = np.radians(side_deg) * side_deg / (north - south)
    lat = np.degrees(np.arcsin(random.uniform(south, north, count + points)))
    lng = random.uniform(25.0 - wide / 2, 25.0 + wide / 2, count + points)
    return Places(lat[:count], lng[:count], lat[count:], lng[count:])


@cache
def helsinki() -> City:
    """The demo's city as a tile; its size is that of all its streets and shops."""
    city = read_city()
    streets = read_streets(city.plane)
    node = np.stack(city.plane.to_degrees(streets.east_m, streets.north_m), -1)
    pieces: Longs = edges(streets)
    length_m = np.hypot(*(axis[pieces[:, 0]] - axis[pieces[:, 1]] for axis in (streets.east_m, streets.north_m)))
    shop = np.stack([city.lat_deg, city.lng_deg], -1)
    low, high = np.min([node.min(0), shop.min(0)], 0), np.max([node.max(0), shop.max(0)], 0)
    share = np.cumsum(length_m) / length_m.sum()
    share[-1] = 1.0
    return City(shop, node[pieces[:, 0]], node[pieces[:, 1]], share, (float(high[0] - low[0]), float(high[1] - low[1])))


def _tiles(city: City, count: int) -> Floats:
    """f8[count, 2]: by how many degrees each tile is shifted; together about as wide as high, around the city."""
    high, wide = city.size[0], city.size[1] * np.cos(np.radians(city.shop[:, 0].mean()))
    rows = max(1, round(np.sqrt(count * wide / high)))
    columns = -(-count // rows)
    row, column = np.divmod(np.arange(count), columns)
    return np.stack([(row - rows // 2) * city.size[0], (column - columns // 2) * city.size[1]], -1)
