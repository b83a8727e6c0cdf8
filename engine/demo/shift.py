"""Carry a track recorded elsewhere into the city: moved, not turned, not scaled, and the move is named."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.demo.city import City, Shop
from engine.demo.plane import Floats, Ints
from engine.demo.streets import Streets
from engine.demo.tracks import Track

CELL_M = 10.0  # raster of the city that candidates are scored on
MARGIN_M = 60.0  # the city ends this far beyond its outermost shops
STREET_WORTH, SHOP_WORTH = 1, 3  # a fix within a cell of a street; the same within two cells of a shop
CANDIDATE_FIXES, CANDIDATE_SHOPS, SCORED_FIXES = 120, 60, 1_500


@dataclass(frozen=True)
class Shifted:
    """The moved track, the move in metres on the city's plane, and how many fixes lie in the city."""

    track: Track
    north_m: float
    east_m: float
    inside: int

    def __str__(self) -> str:
        northward = f"{abs(self.north_m):,.0f} m {'north' if self.north_m >= 0 else 'south'}"
        eastward = f"{abs(self.east_m):,.0f} m {'east' if self.east_m >= 0 else 'west'}"
        part = f"{self.inside:,} of its {len(self.track):,} fixes lie in the city; the rest stay outside"
        return f"{self.track.name} was recorded elsewhere: moved {northward} and {eastward}; {part}"


@dataclass(frozen=True)
class Passed:
    """A shop that the track passes: nearest approach, first fix within the radius, seconds within."""

    shop: Shop
    nearest_m: float
    first_ms: int
    inside_s: float


def shift_into_city(track: Track, city: City, streets: Streets) -> Shifted:
    """Move *track* where most of it runs near the city's shops and streets.

    Tries every move that puts one of `CANDIDATE_FIXES` fixes on one of `CANDIDATE_SHOPS` shops and scores it
    on a raster, so at least one shop is met exactly. The track keeps its shape in metres on its own plane;
    its metres north and east are counted from its middle to the city's. Deterministic; ties go to the first
    candidate.
    """
    worth = _worth(city, streets)
    east_m, north_m = track.plane.to_metres(track.lat_deg, track.lng_deg)
    shop_east_m, shop_north_m = (axis[_every(len(axis), CANDIDATE_SHOPS)] for axis in city.east_north_m)
    fixes, scored = _every(len(track), CANDIDATE_FIXES), _every(len(track), SCORED_FIXES)
    moves_east = (shop_east_m[:, None] - east_m[fixes]).ravel()
    moves_north = (shop_north_m[:, None] - north_m[fixes]).ravel()
    scores = [
        int(worth.at(east_m[scored] + east, north_m[scored] + north).sum())
        for east, north in zip(moves_east, moves_north, strict=True)
    ]
    best = int(np.argmax(scores))
    return _moved(track, city, float(moves_east[best]), float(moves_north[best]))


def shops_passed(track: Track, city: City, radius_m: float) -> list[Passed]:
    """The shops that a moved *track* comes within *radius_m* of, longest stay first, then by place id.

    Judged at the fixes alone, as the engine judges: what is passed between two fixes is not met.
    """
    east_m, north_m = city.plane.to_metres(track.lat_deg, track.lng_deg)
    seconds = np.diff(track.at_ms, append=track.at_ms[-1]) / 1_000
    met: list[Passed] = []
    for shop, shop_east_m, shop_north_m in zip(city.shops, *city.east_north_m, strict=True):
        away_m = np.hypot(east_m - shop_east_m, north_m - shop_north_m)
        within = away_m <= radius_m
        if within.any():
            first_ms = int(track.at_ms[np.argmax(within)])
            met.append(Passed(shop, float(away_m.min()), first_ms, float(seconds[within].sum())))
    return sorted(met, key=lambda passed: (-passed.inside_s, passed.shop.place_id))


def _moved(track: Track, city: City, east_m: float, north_m: float) -> Shifted:
    """Apply a move between planes; the whole move runs from the track's own middle."""
    own_east_m, own_north_m = track.plane.to_metres(track.lat_deg, track.lng_deg)
    lat_deg, lng_deg = city.plane.to_degrees(own_east_m + east_m, own_north_m + north_m)
    moved = replace(track, lat_deg=lat_deg, lng_deg=lng_deg)
    there_east_m, there_north_m = city.plane.to_metres(np.array([track.plane.lat_deg]), np.array([track.plane.lng_deg]))
    inside = _inside(city, own_east_m + east_m, own_north_m + north_m)
    return Shifted(moved, north_m - float(there_north_m[0]), east_m - float(there_east_m[0]), inside)


def _inside(city: City, east_m: Floats, north_m: Floats) -> int:
    """How many of the points lie in the city."""
    west, east, south, north = _bounds(city)
    return int(np.sum((west <= east_m) & (east_m <= east) & (south <= north_m) & (north_m <= north)))


@dataclass(frozen=True)
class _Raster:
    """Worth of each cell [east, north] from the south-west corner, with a rim of nothing."""

    west_m: float
    south_m: float
    cells: NDArray[np.int64]

    def at(self, east_m: Floats, north_m: Floats) -> Ints:
        """Worth at each point; nothing outside."""
        column, row = self.indices(east_m, north_m)
        found: Ints = self.cells[column, row]
        return found

    def indices(self, east_m: Floats, north_m: Floats) -> tuple[Ints, Ints]:
        """Cell of each point; points outside fall into the rim."""
        columns, rows = self.cells.shape
        column = np.clip(np.floor((east_m - self.west_m) / CELL_M), -1, columns - 2).astype(np.int64) + 1
        row = np.clip(np.floor((north_m - self.south_m) / CELL_M), -1, rows - 2).astype(np.int64) + 1
        return np.minimum(column, columns - 1), np.minimum(row, rows - 1)


def _worth(city: City, streets: Streets) -> _Raster:
    """The raster that candidates are scored on: streets spread over one cell around, shops over two."""
    west, east, south, north = _bounds(city)
    shape = (int((east - west) / CELL_M) + 3, int((north - south) / CELL_M) + 3)
    raster = _Raster(west, south, np.zeros(shape, dtype=np.int64))
    near_street = _spread(raster, *_along(streets), reach=1) * STREET_WORTH
    near_shop = _spread(raster, *city.east_north_m, reach=2) * SHOP_WORTH
    cells = np.maximum(near_street, near_shop)
    cells[[0, -1], :] = 0
    cells[:, [0, -1]] = 0
    return replace(raster, cells=cells)


def _along(streets: Streets) -> tuple[Floats, Floats]:
    """Points along every street, at most a cell apart."""
    start = np.repeat(np.arange(len(streets)), np.diff(streets.first))
    pieces = np.maximum(1, np.ceil(streets.length_m / CELL_M)).astype(np.int64)
    edge = np.repeat(np.arange(len(start)), pieces)
    part = (np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) / pieces[edge]
    a, b = start[edge], streets.neighbour[edge]
    east_m = streets.east_m[a] + part * (streets.east_m[b] - streets.east_m[a])
    return east_m, streets.north_m[a] + part * (streets.north_m[b] - streets.north_m[a])


def _spread(raster: _Raster, east_m: Floats, north_m: Floats, reach: int) -> NDArray[np.int64]:
    """One for each cell within *reach* cells of a point, else nought."""
    marks = np.zeros_like(raster.cells)
    for step_east in range(-reach, reach + 1):
        for step_north in range(-reach, reach + 1):
            marks[raster.indices(east_m + step_east * CELL_M, north_m + step_north * CELL_M)] = 1
    return marks


def _bounds(city: City) -> tuple[float, float, float, float]:
    """West, east, south, north of the city in metres on its plane."""
    east_m, north_m = city.east_north_m
    west, east = float(east_m.min()) - MARGIN_M, float(east_m.max()) + MARGIN_M
    return west, east, float(north_m.min()) - MARGIN_M, float(north_m.max()) + MARGIN_M


def _every(length: int, most: int) -> Ints:
    """Up to *most* indices, evenly spread over 0..length−1."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(np.int64))
