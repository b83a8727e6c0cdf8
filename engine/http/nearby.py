"""The stores around a point, nearest first: a box in SQL, the exact great circle here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from engine.postgres import queries
from geo.sphere import distance_m
from geo.units import EARTH_RADIUS_M
from offers.errors import InvalidHours
from offers.hours import open_intervals

MOST_STORES = 300
_BOX_STORES = 5_000


class Around(Protocol):
    """Where to look; degrees and metres."""

    @property
    def lat(self) -> float: ...
    @property
    def lng(self) -> float: ...
    @property
    def radius_m(self) -> float: ...
    @property
    def open_now(self) -> bool: ...


@dataclass(frozen=True)
class NearStore:
    """A store within the radius; `open` is None where the hours are unknown."""

    id: int
    retailer: int
    code: str
    name: str
    retailer_name: str
    currency: str
    lat: float
    lng: float
    distance_m: float
    open: bool | None
    city: str | None = None
    tags: tuple[str, ...] = ()


async def nearby(connection: Any, around: Around, now_ms: int) -> dict[int, NearStore]:
    """At most `MOST_STORES` stores by id, nearest first; only surely open ones where that is asked."""
    rows = [row async for row in queries.search.stores_in_box(connection, **box(around), most=_BOX_STORES)]
    if not rows:
        return {}
    lats, lngs = np.array([row["lat"] for row in rows]), np.array([row["lng"] for row in rows])
    far_m = distance_m(np.float64(around.lat), np.float64(around.lng), lats, lngs)
    found: dict[int, NearStore] = {}
    for index in np.lexsort(([row["id"] for row in rows], far_m)).tolist():
        if far_m[index] > around.radius_m or len(found) == MOST_STORES:
            break
        row = rows[index]
        is_open = _open(row, now_ms)
        if is_open or not around.open_now:
            found[row["id"]] = _store(row, float(far_m[index]), is_open)
    return found


def box(around: Around) -> dict[str, float]:
    """A box in degrees around the circle: south, north, and the half width in longitude.

    Over-includes, never under-includes; a circle that reaches a pole has the full width.
    """
    radius = around.radius_m / EARTH_RADIUS_M * 1.001
    south, north = around.lat - math.degrees(radius), around.lat + math.degrees(radius)
    if south <= -90 or north >= 90:
        return {"south": max(south, -90.0), "north": min(north, 90.0), "lng": around.lng, "width": 180.0}
    # Widest longitude of a circle on a sphere: asin(sin r / cos lat), which lies above its centre's parallel.
    width = math.degrees(math.asin(min(1.0, math.sin(radius) / math.cos(math.radians(around.lat)))))
    return {"south": south, "north": north, "lng": around.lng, "width": width}


def _store(row: Any, far_m: float, is_open: bool | None) -> NearStore:
    names = ("id", "retailer", "code", "name", "retailer_name", "currency", "lat", "lng")
    values = {name: row[name] for name in names}
    return NearStore(**values, distance_m=far_m, open=is_open, city=row["city"], tags=tuple(row["tags"]))


def _open(row: Any, now_ms: int) -> bool | None:
    if row["opening_hours"] is None:
        return None
    try:
        spans = open_intervals(row["opening_hours"], row["zone"], row["country"], now_ms, now_ms + 60_000)
    except InvalidHours:
        return None
    return any(start <= now_ms < end for start, end in spans)
