"""Slow obvious twin of polygon fences: every edge asked for every point, in fractions; distances by search."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction

from geo.fence import Circle
from geo.polygon import Polygon
from geo.units import EARTH_RADIUS_M
from tests.reference.geo_ground import M_PER_DEG, haversine_m
from tests.reference.geo_ground import edge_m as circle_edge_m

Point = tuple[float, float]
Ring = list[Point]
Parts = list[list[Ring]]


def edges(parts: Parts) -> Iterator[tuple[Point, Point]]:
    """All edges; rings are unwrapped and may or may not repeat their first vertex."""
    for rings in parts:
        for ring in rings:
            yield from zip(ring, [*ring[1:], ring[0]], strict=True)


def holds(parts: Parts, lat: float, lng: float) -> bool:
    """Whether an odd number of edges run strictly east of the point, exactly; northern ends do not count."""
    odd = False
    for a, b in edges(parts):
        south, north = sorted((a, b))
        if south[0] <= lat < north[0]:
            share = (Fraction(lat) - Fraction(south[0])) / (Fraction(north[0]) - Fraction(south[0]))
            odd ^= Fraction(south[1]) + share * (Fraction(north[1]) - Fraction(south[1])) > Fraction(lng)
    return odd


def boundary_m(parts: Parts, lat: float, lng: float) -> float:
    """Great-circle metres to the nearest point of any edge: a coarse walk along each, then a search around its best."""
    return min(_to_edge_m(a, b, (lat, lng)) for a, b in edges(parts))


def _to_edge_m(a: Point, b: Point, here: Point) -> float:
    def away_m(share: float) -> float:
        return haversine_m(*here, a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))

    steps = 32
    best = min(range(steps + 1), key=lambda k: away_m(k / steps))
    low, high = max(0.0, (best - 1) / steps), min(1.0, (best + 1) / steps)
    for _ in range(60):
        left, right = low + (high - low) / 3.0, high - (high - low) / 3.0
        low, high = (low, right) if away_m(left) < away_m(right) else (left, high)
    return min(away_m((low + high) / 2.0), away_m(0.0), away_m(1.0))


def unrolled(fence: Polygon) -> Parts:
    """The rings with every longitude in the turn nearest to the first vertex: the twin's fences are small."""
    about = fence.parts[0][0][0][1]
    return [
        [[(float(a), float(b) - 360.0 * round((b - about) / 360.0)) for a, b in ring] for ring in rings]
        for rings in fence.parts
    ]


def turned(parts: Parts, lng: float) -> float:
    """*lng* in the turn nearest to the middle of the rings."""
    every = [vertex[1] for rings in parts for ring in rings for vertex in ring]
    return lng - 360.0 * round((lng - (min(every) + max(every)) / 2.0) / 360.0)


def edge_m(fence: Circle | Polygon, lat: float, lng: float) -> float:
    """Signed distance of either kind, negative inside."""
    if isinstance(fence, Circle):
        return circle_edge_m(fence, lat, lng)
    parts = unrolled(fence)
    away_m = boundary_m(parts, lat, turned(parts, lng))
    return -away_m if holds(parts, lat, turned(parts, lng)) else max(away_m, 1e-9)


def radius_m(fence: Circle | Polygon) -> float:
    """What the rim is measured by: a circle's radius, or that of a circle of the same area (on the plane)."""
    if isinstance(fence, Circle):
        return fence.radius_m
    total = 0.0
    for rings in unrolled(fence):
        for k, ring in enumerate(rings):
            wide = math.cos(math.radians(ring[0][0]))
            area = sum(
                (b[1] - a[1]) * wide * (a[0] + b[0] - 2 * ring[0][0]) / 2.0
                for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)
            )
            total += abs(area) if k == 0 else -abs(area)
    return math.sqrt(total / math.pi) * M_PER_DEG


def star(dice: random.Random, at: Point, size_m: float, corners: int) -> Ring:
    """A ring around *at*, its vertices 0.3 to 1 *size_m* away; at least five corners keep *at* inside."""
    ring = []
    wide = max(math.cos(math.radians(at[0])), 1e-3)
    for k in range(corners):
        course = 2.0 * math.pi * (k + 0.8 * dice.random()) / corners
        away = size_m * dice.uniform(0.3, 1.0) / EARTH_RADIUS_M * 180.0 / math.pi
        ring.append((at[0] + away * math.cos(course), at[1] + away * math.sin(course) / wide))
    return ring


def archipelago(dice: random.Random, at: Point, size_m: float, corners: int, extras: int) -> Parts:
    """A star; with 1, a hole in it; with 2, an island in the hole; with 3, a second star beside it."""
    parts: Parts = [[star(dice, at, size_m, corners)]]
    if extras >= 1:
        parts[0].append(star(dice, at, 0.1 * size_m, 5 + corners // 3))
    if extras >= 2:
        parts.append([star(dice, at, 0.02 * size_m, 5)])
    if extras >= 3:
        wide = max(math.cos(math.radians(at[0])), 1e-3)
        parts.append([star(dice, (at[0], at[1] + 2.5 * size_m / M_PER_DEG / wide), size_m, 6)])
    return parts


def polygon(fence: int, parts: Parts, dwells_s: tuple[int, ...] = ()) -> Polygon:
    """The fence, its longitudes wrapped into ±180° as files have them."""
    wrapped = tuple(tuple(tuple((lat, _wrapped(lng)) for lat, lng in ring) for ring in rings) for rings in parts)
    return Polygon(fence, wrapped, dwells_s)


def _wrapped(lng: float) -> float:
    return lng if -180.0 <= lng <= 180.0 else (lng + 180.0) % 360.0 - 180.0


def around(dice: random.Random, parts: Parts, count: int) -> list[Point]:
    """Points by turns anywhere in a box half as large again, beside an edge, and on a vertex or an edge; wrapped."""
    all_edges = list(edges(parts))
    every: Sequence[Point] = [a for a, _ in all_edges]
    south, north = min(p[0] for p in every), max(p[0] for p in every)
    west, east = min(p[1] for p in every), max(p[1] for p in every)
    points = []
    for k in range(count):
        a, b = dice.choice(all_edges)
        share = dice.choice([0.0, 1.0, dice.random(), dice.random()])
        lat, lng = a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
        if k % 3 == 0:
            lat = dice.uniform(1.25 * south - 0.25 * north, 1.25 * north - 0.25 * south)
            lng = dice.uniform(1.25 * west - 0.25 * east, 1.25 * east - 0.25 * west)
        elif k % 3 == 1:
            off = 10.0 ** dice.uniform(-8.0, -1.0)
            lat, lng = lat + dice.choice([-off, off]) * (north - south), lng + dice.choice([-off, off]) * (east - west)
        points.append((min(90.0, max(-90.0, lat)), _wrapped(lng)))
    return points


def disc(at: Point, size_m: float, corners: int, reach: Sequence[float] = ()) -> Ring:
    """A round ring; *reach* tells the share of *size_m* for each vertex."""
    wide, ring = math.cos(math.radians(at[0])), []
    for k in range(corners):
        course, away = 2.0 * math.pi * k / corners, size_m / M_PER_DEG * (reach[k] if reach else 1.0)
        ring.append((at[0] + away * math.cos(course), at[1] + away * math.sin(course) / wide))
    return ring


def comb(at: Point, size_m: float, teeth: int) -> Ring:
    """A back with narrow teeth to the north."""
    side = size_m / M_PER_DEG
    wide = side / math.cos(math.radians(at[0]))
    ring = [(at[0], at[1] + wide), (at[0] - 0.1 * side, at[1] + wide), (at[0] - 0.1 * side, at[1]), at]
    for k in range(teeth):
        ring += [(at[0] + side, at[1] + wide * (k + 0.3) / teeth), (at[0], at[1] + wide * (k + 0.6) / teeth)]
    return ring


def spiral(at: Point, size_m: float, corners: int) -> Ring:
    """A band of three turns."""
    there, wide = [], math.cos(math.radians(at[0]))
    for away_m in (1.0, 0.93):
        for k in range(corners):
            course = 6.0 * math.pi * k / corners
            away = away_m * size_m * (0.1 + 0.9 * k / corners) / M_PER_DEG
            there.append((at[0] + away * math.cos(course), at[1] + away * math.sin(course) / wide))
    return there[:corners] + there[corners:][::-1]


def tile_ends(dice: random.Random, frame: Sequence[float], count: int) -> list[Point]:
    """Points on the lines on which a frame (`geo.tiles`) is halved, and where two of them meet."""
    points = []
    for k in range(count):
        depth = 1 << dice.randrange(1, 9)
        y, x = dice.randrange(depth + 1) / depth, dice.randrange(depth + 1) / depth
        if k % 3:
            y, x = (y, dice.random()) if k % 3 == 1 else (dice.random(), x)
        lat, lng = frame[0] + y / frame[2], frame[1] + x / frame[3]
        points.append((min(90.0, max(-90.0, lat)), _wrapped(lng)))
    return points
