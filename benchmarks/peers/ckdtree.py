"""scipy's cKDTree over unit vectors: circles of mixed radii as balls.

The tree knows one radius a question (or one for each point asked), so circles are sorted into classes by radius, each
with a tree of its own, and what is found is filtered by the true radius; or the points are the tree. All ways are
exact, and the row's peer is the fastest of them.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from benchmarks.geo_ground import World
from benchmarks.geo_pairs import Pairs
from benchmarks.geo_shapes import Floats, Longs
from geo.sphere import units
from geo.units import EARTH_RADIUS_M

STEPS: Final = (1.5, 2.0, 4.0, 8.0)
"""How many times the least radius of a class its greatest may be."""
_SLACK: Final = 1.0 + 1e-12
_LEAF: Final = 16


class CKDTree:
    """The circles of a world in trees."""

    def __init__(self, world: World) -> None:
        try:
            self._made = importlib.import_module("scipy.spatial").cKDTree
        except ModuleNotFoundError as error:
            raise RuntimeError("to measure against scipy: make peers") from error
        self.version = f"scipy {importlib.metadata.version('scipy')}"
        self._points = units(*world.points)
        self._middles = units(world.places.lat[: world.circles], world.places.lng[: world.circles])
        self._chord = 2.0 * np.sin(world.radius_m / (2.0 * EARTH_RADIUS_M))
        self._classes: dict[float, list[tuple[Longs, Any]]] = {step: self._sorted(step) for step in STEPS}

    @property
    def ways(self) -> dict[str, Callable[[], Pairs]]:
        """Each way of asking, told in words."""
        found: dict[str, Callable[[], Pairs]] = {
            "a tree of the points, asked by every circle with its radius": self.balls_around_circles
        }
        classes = "classes of circles with radii within {:g} times"
        found[f"{classes.format(STEPS[0])}, asked by every point"] = partial(self.balls_around_points, STEPS[0])
        for step in STEPS:
            way = f"{classes.format(step)}, each against a tree of the points by sparse_distance_matrix"
            found[way] = partial(self.matrix, step)
        return found

    def balls_around_circles(self) -> Pairs:
        """The tree holds the points."""
        tree = self._tree_of_points()
        found = tree.query_ball_point(self._middles, self._chord * _SLACK, return_sorted=False, workers=1)
        return self._exact(*_flat(found)[::-1])

    def balls_around_points(self, step: float) -> Pairs:
        """Every class of circles is asked with its greatest radius."""
        points, circles = [], []
        for rows, tree in self._classes[step]:
            reach = self._chord[rows].max() * _SLACK
            point, row = _flat(tree.query_ball_point(self._points, reach, return_sorted=False, workers=1))
            points.append(point)
            circles.append(rows[row])
        return self._exact(np.concatenate(points), np.concatenate(circles))

    def matrix(self, step: float) -> Pairs:
        """Tree against tree: no list is made for a point."""
        tree = self._tree_of_points()
        points, circles = [], []
        for rows, others in self._classes[step]:
            reach = self._chord[rows].max() * _SLACK
            near = tree.sparse_distance_matrix(others, reach, output_type="ndarray")
            inside = near["v"] <= self._chord[rows[near["j"]]]
            points.append(near["i"][inside])
            circles.append(rows[near["j"][inside]])
        return Pairs(np.concatenate(points), np.concatenate(circles))

    def _tree_of_points(self) -> Any:
        """Made each time, for points are new and fences are not; unbalanced it is made in half the time."""
        return self._made(self._points, leafsize=_LEAF, balanced_tree=False)

    def _sorted(self, step: float) -> list[tuple[Longs, Any]]:
        """(rows, tree) of each class."""
        number = np.floor(np.log(self._chord / self._chord.min()) / np.log(step)).astype(np.int64)
        each = [np.flatnonzero(number == n) for n in np.unique(number)]
        return [(rows, self._made(self._middles[rows], leafsize=_LEAF)) for rows in each]

    def _exact(self, point: Longs, circle: Longs) -> Pairs:
        gap: Floats = self._points[point] - self._middles[circle]
        inside = np.einsum("ij,ij->i", gap, gap) <= self._chord[circle] ** 2
        return Pairs(point[inside], circle[inside])


def _flat(lists: Any) -> tuple[Longs, Longs]:
    """(row asked, row found) of an array of lists."""
    count = np.fromiter(map(len, lists), np.int64, len(lists))
    found = np.fromiter((row for each in lists for row in each), np.int64, int(count.sum()))
    return np.repeat(np.arange(len(lists)), count), found
