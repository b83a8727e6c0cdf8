"""shapely's STRtree: fences as geometries in longitude and latitude, a circle as a polygon of 32 corners on it.

So a circle is up to half a percent of its radius too small: shapely has no circles on the ground. The three ways of
asking give pairs; only the first is one call, and the row's peer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from benchmarks.geo_ground import World
from benchmarks.geo_pairs import Pairs
from benchmarks.geo_shapes import Floats
from geo.sphere import units
from geo.units import EARTH_RADIUS_M

VERSION: Final = f"{shapely.__version__} with GEOS {shapely.geos_version_string}"
CORNERS: Final = 32
RIM_SHARE: Final = 0.006
"""Of a circle's radius: 1 - cos(π / 32) = 0.0048 and the bend of its sides."""


class Strtree:
    """All of a world's fences in a tree; points as geometries, made beforehand."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.geometries = np.concatenate([rounds(world), world.shapes.geometries])
        self._tree = shapely.STRtree(self.geometries)
        self._tree.query(shapely.Point(0.0, 0.0))  # it is built by the first question
        lat, lng = world.points
        self._points = shapely.points(lng, lat)

    def bulk(self) -> Pairs:
        """One call of `STRtree.query` with a predicate."""
        return Pairs(*self._tree.query(self._points, predicate="intersects"))

    @property
    def other_ways(self) -> dict[str, Callable[[], Pairs]]:
        """What else a good programmer would try."""
        return {
            "boxes from the tree, then circles exactly in numpy and prepared polygons": self.boxes,
            "a tree of the points, made each time and asked with every fence": self.turned,
        }

    def boxes(self) -> Pairs:
        """Boxes by the tree, circles by chords in numpy (exactly), polygons by `contains_xy` on prepared ones."""
        world = self._world
        point, fence = self._tree.query(self._points)
        near = self._chords(point, fence)
        lat, lng = world.points
        rest = fence >= world.circles
        near[rest] = shapely.intersects_xy(self._prepared[fence[rest]], lng[point[rest]], lat[point[rest]])
        return Pairs(point[near], fence[near])

    def turned(self) -> Pairs:
        """The tree holds the points: each fence is prepared and asked for those in it."""
        fence, point = shapely.STRtree(self._points).query(self.geometries, predicate="intersects")
        return Pairs(point, fence)

    def _chords(self, point: NDArray[Any], fence: NDArray[Any]) -> NDArray[np.bool_]:
        middles, points, limit = self._balls
        near = fence < len(middles)
        gap = points[point[near]] - middles[fence[near]]
        near[near] = np.einsum("ij,ij->i", gap, gap) <= limit[fence[near]]
        return near

    @cached_property
    def _balls(self) -> tuple[Floats, Floats, Floats]:
        """Unit vectors of middles and points, and the squares of the circles' chords."""
        world = self._world
        middles = units(world.places.lat[: world.circles], world.places.lng[: world.circles])
        return middles, units(*world.points), (2.0 * np.sin(world.radius_m / (2.0 * EARTH_RADIUS_M))) ** 2

    @cached_property
    def _prepared(self) -> NDArray[Any]:
        """The geometries, prepared once."""
        shapely.prepare(self.geometries[self._world.circles :])
        return self.geometries


def rounds(world: World) -> NDArray[Any]:
    """The circles as polygons; corners by great circles (Williams, "Aviation formulary")."""
    count = world.circles
    lat, lng = (np.radians(axis[:count, None]) for axis in (world.places.lat, world.places.lng))
    away = world.radius_m[:, None] / EARTH_RADIUS_M
    course = np.linspace(0.0, 2.0 * np.pi, CORNERS, endpoint=False)
    to = np.arcsin(np.sin(lat) * np.cos(away) + np.cos(lat) * np.sin(away) * np.cos(course))
    swing = np.arctan2(np.sin(course) * np.sin(away) * np.cos(lat), np.cos(away) - np.sin(lat) * np.sin(to))
    corners = np.degrees(np.stack([lng + swing, to], -1))
    made: NDArray[Any] = shapely.polygons(np.concatenate([corners, corners[:, :1]], 1))
    return made
