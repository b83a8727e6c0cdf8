"""GeoJSON geometries (RFC 7946) as fences: the one place where its order, longitude before latitude, ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geo.errors import FenceError
from geo.polygon import Polygon
from geo.rings import VERTICES_MAX, Ring


def polygon_of(fence: int, geometry: Mapping[str, Any], dwells_s: tuple[int, ...] = ()) -> Polygon:
    """The fence of a Polygon or MultiPolygon; a third coordinate (altitude) is dropped. Raises `FenceError`."""
    kind = geometry.get("type") if isinstance(geometry, Mapping) else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise FenceError(f"fence {fence}: the geometry is not a Polygon or a MultiPolygon")
    parts = geometry.get("coordinates")
    if kind == "Polygon":
        parts = [parts]
    return Polygon(fence, tuple(_part(fence, rings) for rings in _listed(fence, parts)), dwells_s)


def _part(fence: int, rings: Any) -> tuple[Ring, ...]:
    return tuple(_ring(fence, ring) for ring in _listed(fence, rings))


def _ring(fence: int, ring: Any) -> Ring:
    if len(_listed(fence, ring)) > VERTICES_MAX:
        raise FenceError(f"fence {fence}: {len(ring)} vertices are more than {VERTICES_MAX}")
    return tuple(_turned(fence, position) for position in ring)


def _turned(fence: int, position: Any) -> tuple[float, float]:
    """(lat, lng) of one position (lng, lat[, altitude])."""
    pair = _listed(fence, position)[:2]
    if len(pair) < 2 or any(isinstance(value, bool) or not isinstance(value, int | float) for value in pair):
        raise FenceError(f"fence {fence}: a position is not a longitude and a latitude")
    return float(pair[1]), float(pair[0])


def _listed(fence: int, value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise FenceError(f"fence {fence}: the coordinates are not nested as a Polygon's or a MultiPolygon's")
    return value
