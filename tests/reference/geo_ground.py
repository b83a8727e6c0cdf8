"""Slow obvious twin of the geometry: haversine distances, every fence asked for every point."""

from __future__ import annotations

import math
from collections.abc import Sequence

from geo.fence import Circle
from geo.units import EARTH_RADIUS_M

M_PER_DEG = EARTH_RADIUS_M * math.pi / 180.0


def haversine_m(lat1: float, lng1: float, lat2: float, lng2: float) -> float:
    """Great-circle distance in metres (Sinnott 1984), another formula than the product's."""
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    a = math.sin((phi2 - phi1) / 2.0) ** 2
    b = math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(lng2 - lng1) / 2.0) ** 2
    return 2.0 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(a + b)))


def edge_m(circle: Circle, lat: float, lng: float) -> float:
    """Signed distance to the edge, negative inside."""
    return haversine_m(circle.lat, circle.lng, lat, lng) - circle.radius_m


def pairs(circles: Sequence[Circle], lat: Sequence[float], lng: Sequence[float]) -> list[tuple[int, int, float]]:
    """(point, position of the fence among ascending ids, edge_m) of every pair with edge_m <= 0, in that order."""
    ordered = sorted(circles, key=lambda circle: circle.fence)
    found = []
    for point, (a, b) in enumerate(zip(lat, lng, strict=True)):
        for position, circle in enumerate(ordered):
            edge = edge_m(circle, a, b)
            if edge <= 0.0:
                found.append((point, position, edge))
    return found


def moved(lat: float, lng: float, north_m: float, east_m: float) -> tuple[float, float]:
    """The position that many metres away (great circle, Williams' "Aviation formulary"), longitude in [-180, 180)."""
    away = math.hypot(north_m, east_m) / EARTH_RADIUS_M
    course = math.atan2(east_m, north_m)
    phi = math.radians(lat)
    sin_to = math.sin(phi) * math.cos(away) + math.cos(phi) * math.sin(away) * math.cos(course)
    to = math.asin(max(-1.0, min(1.0, sin_to)))
    swing = math.atan2(math.sin(course) * math.sin(away) * math.cos(phi), math.cos(away) - math.sin(phi) * math.sin(to))
    return math.degrees(to), (lng + math.degrees(swing) + 180.0) % 360.0 - 180.0
