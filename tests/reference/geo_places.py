"""Random places where an encoder of cells can go wrong, by kind: rims and corners of cells, pentagons, the edges and
centres of the icosahedron's faces, poles, ±180°, zeros. The library says where those are; nothing here knows our grid.

Each function takes a generator and how many places, and gives (lat f8[n], lng f8[n]), degrees.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import combinations
from typing import Final, TypeAlias

import h3.api.basic_int as h3
import numpy as np

from geo.arrays import Floats
from geo.cells import library_leaves
from geo.leaves import LEAF_RES
from geo.sphere import units

Random: TypeAlias = np.random.Generator
Places: TypeAlias = tuple[Floats, Floats]

_A_CELL: Final = 100
"""Places around one cell: asking for its boundary takes long."""
_SPECIAL_LAT: Final = [0.0, 5e-324, 1e-310, 1e-17, 1e-9, 45.0, 89.999999999, np.nextafter(90.0, 0.0), 90.0]
_SPECIAL_LNG: Final = [
    0.0,
    5e-324,
    1e-310,
    1e-17,
    1e-9,
    45.0,
    90.0,
    135.0,
    179.999999999,
    np.nextafter(180.0, 0),
    180.0,
]


def anywhere(random: Random, count: int) -> Places:
    """Even on the sphere."""
    return np.degrees(np.arcsin(random.uniform(-1.0, 1.0, count))), random.uniform(-180.0, 180.0, count)


def rims(random: Random, count: int) -> Places:
    """On cells' edges, and beside them by 1e-9 to 1e-3 of an edge."""
    return _rims_of(library_leaves(*anywhere(random, 1 + count // _A_CELL)).tolist(), random, count)


def rims_at_pentagons(random: Random, count: int) -> Places:
    """The same at the twelve pentagons and the cells near them."""
    disks = random.permutation(_cells_at_pentagons())[: 1 + count // _A_CELL]
    return _rims_of(disks.tolist(), random, count)


def rims_at_face_centres(random: Random, count: int) -> Places:
    """The same at cells in the middle of a face, where the library's arc cosine loses its digits."""
    middles = library_leaves(*_places(_face_centres()))
    cells = np.array([near for cell in middles.tolist() for near in h3.grid_disk(cell, 2)])
    return _rims_of(random.permutation(cells)[: 1 + count // _A_CELL].tolist(), random, count)


def rims_at_face_edges(random: Random, count: int) -> Places:
    """The same at cells that lie on two faces."""
    return _rims_of(library_leaves(*_on_face_edges(random, 1 + count // _A_CELL, -17.0, -5.0)).tolist(), random, count)


def corners(random: Random, count: int) -> Places:
    """Cells' corners as the library has them, every other one moved by 1e-9 to 1e-3 of an edge."""
    cells = library_leaves(*anywhere(random, 1 + count // 6)).tolist()
    at = np.array([corner for cell in cells for corner in h3.cell_to_boundary(cell)[:6]])
    at = at[random.permutation(len(at))[:count]] if len(at) >= count else at[random.integers(0, len(at), count)]
    edge_deg = 2.5e-4
    by = _log_uniform(random, len(at), -9.0, -3.0) * edge_deg * (np.arange(len(at)) % 2)
    course = random.uniform(0.0, 2.0 * np.pi, len(at))
    return np.clip(at[:, 0] + by * np.sin(course), -90.0, 90.0), np.clip(at[:, 1] + by * np.cos(course), -180.0, 180.0)


def pentagons(random: Random, count: int) -> Places:
    """Around the icosahedron's corners, each with a pentagon of every resolution, by 1e-12 to 1 radian."""
    return _places(_moved(random, _icosahedron()[random.integers(0, 12, count)], -12.0, 0.0))


def face_centres(random: Random, count: int) -> Places:
    """Around the centres of faces, by 1e-12 to 1e-2 radian."""
    return _places(_moved(random, _face_centres()[random.integers(0, 20, count)], -12.0, -2.0))


def face_edges(random: Random, count: int) -> Places:
    """Between two faces: on the middle of the edge or anywhere along it, and beside it by 1e-17 to 1e-2 radian."""
    return _on_face_edges(random, count, -17.0, -2.0)


def specials(random: Random, count: int) -> Places:
    """Poles, meridians, equator, both signs of zero, subnormal numbers; half of them beside anything else."""
    lat, lng = random.choice(_SPECIAL_LAT, count), random.choice(_SPECIAL_LNG, count)
    lat, lng = lat * random.choice([-1.0, 1.0], count), lng * random.choice([-1.0, 1.0], count)
    other_lat, other_lng = anywhere(random, count)
    which = random.integers(0, 4, count)
    return np.where(which == 0, other_lat, lat), np.where(which == 1, other_lng, lng)


KINDS: Final[dict[str, Callable[[Random, int], Places]]] = {
    kind.__name__: kind
    for kind in (
        anywhere,
        rims,
        rims_at_pentagons,
        rims_at_face_centres,
        rims_at_face_edges,
        corners,
        pentagons,
        face_centres,
        face_edges,
        specials,
    )
}


def _rims_of(cells: list[int], random: Random, count: int) -> Places:
    boundaries = [_normal(units(*np.array(h3.cell_to_boundary(cell)).T)) for cell in cells]
    which = random.integers(0, len(cells), count)
    sides = np.array([len(boundary) for boundary in boundaries])[which]
    start = np.cumsum([0, *(len(boundary) for boundary in boundaries)])[which]
    side = random.integers(0, sides)
    flat = np.concatenate(boundaries)
    one, next_one = flat[start + side], flat[start + (side + 1) % sides]
    middle = np.array([boundary.mean(axis=0) for boundary in boundaries])[which]
    share = random.random((count, 1))
    inwards = _log_uniform(random, count, -9.0, -3.0) * random.integers(-1, 2, count)
    on_edge = one * share + next_one * (1.0 - share)
    return _places(_normal(on_edge + (middle - on_edge) * inwards[:, None]))


def _on_face_edges(random: Random, count: int, least: float, most: float) -> Places:
    ends = np.array([pair for pair in combinations(_icosahedron(), 2) if np.dot(*pair) > 0.4])
    end = ends[random.integers(0, len(ends), count)]
    share = np.where(random.random(count) < 0.3, 0.5, random.random(count))[:, None]
    return _places(_moved(random, _normal(end[:, 0] * share + end[:, 1] * (1.0 - share)), least, most))


def _moved(random: Random, at: Floats, least: float, most: float) -> Floats:
    """Unit vectors moved any way by 10 ** *least* to 10 ** *most* radian; every tenth stays."""
    by = _log_uniform(random, len(at), least, most) * (np.arange(len(at)) % 10 > 0)
    return _normal(at + _normal(random.normal(size=at.shape)) * by[:, None])


def _log_uniform(random: Random, count: int, least: float, most: float) -> Floats:
    return np.power(10.0, random.uniform(least, most, count))


def _normal(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _places(xyz: Floats) -> Places:
    """Degrees of unit vectors; arc tangents keep what an arc sine would lose near the poles."""
    x, y, z = xyz.T
    lat = np.degrees(np.arctan2(z, np.hypot(x, y)))
    return np.clip(lat, -90.0, 90.0), np.clip(np.degrees(np.arctan2(y, x)), -180.0, 180.0)


@cache
def _icosahedron() -> Floats:
    """f8[12, 3]: its corners."""
    at = np.array([h3.cell_to_latlng(cell) for cell in h3.get_pentagons(0)])
    return _normal(units(at[:, 0], at[:, 1]))


@cache
def _face_centres() -> Floats:
    """f8[20, 3]: the middles of three corners that are neighbours."""
    threes = combinations(_icosahedron(), 3)
    faces = [three for three in threes if all(np.dot(*pair) > 0.4 for pair in combinations(three, 2))]
    return _normal(np.array([np.sum(three, axis=0) for three in faces]))


@cache
def _cells_at_pentagons() -> np.ndarray:
    """Leaf cells: at most 6 steps from a leaf pentagon, and the corner cells of the pentagons of res 0 to 10."""
    near = [cell for pentagon in h3.get_pentagons(LEAF_RES) for cell in h3.grid_disk(pentagon, 6)]
    for res in range(LEAF_RES):
        for pentagon in h3.get_pentagons(res):
            near += [h3.latlng_to_cell(*corner, LEAF_RES) for corner in h3.cell_to_boundary(pentagon)]
    return np.array(sorted(set(near)), np.int64)
