"""Whether rings make a polygon, and parts that touch joined into one. The only file that imports shapely, whose
order is (x = lng, y = lat).
"""

from __future__ import annotations

import numpy as np
import shapely

from geo.arrays import Floats
from geo.errors import FenceError
from geo.rings import Parts
from geo.simple import VERTICES_MAX, surely_simple

_OVERLAP_SHARE = 1e-9


def sound(parts: Parts) -> Parts:
    """*parts*, those that share an edge joined, so that a cut along ±180° is no edge of the fence. Raises
    `FenceError` when a ring crosses itself, a hole lies outside, or parts overlap.
    """
    if len(parts) == 1 and len(parts[0]) == 1 and len(parts[0][0]) <= VERTICES_MAX and surely_simple(parts[0][0]):
        return parts
    shapes = [shapely.Polygon(_swapped(rings[0]), [_swapped(hole) for hole in rings[1:]]) for rings in parts]
    for shape in shapes:
        if not shapely.is_valid(shape):
            raise FenceError(f"not a polygon: {_told(shapely.is_valid_reason(shape))}")
    if len(shapes) == 1:
        return parts
    joined = shapely.union_all(shapes)
    total = sum(shape.area for shape in shapes)
    if total - joined.area > _OVERLAP_SHARE * total:
        raise FenceError("two of its parts overlap")
    pieces = joined.geoms if joined.geom_type == "MultiPolygon" else [joined]
    return [[_swapped(ring.coords) for ring in (piece.exterior, *piece.interiors)] for piece in pieces]


def _swapped(coordinates: object) -> Floats:
    """f8[n, 2] with the two columns exchanged: the one place where the order turns."""
    return np.ascontiguousarray(np.asarray(coordinates, np.float64)[:, ::-1])


def _told(reason: str) -> str:
    """Shapely's words, without the position: a message may be logged."""
    return reason.partition("[")[0].lower()
