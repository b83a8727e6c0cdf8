"""Leaf cells of many points at once: H3's projection in kernels of our own.

H3 projects a point on the plane of the nearest of the icosahedron's 20 faces (gnomonic, so linear in the unit vector
but for one division), takes the nearest point of a triangular lattice there, and reads the digits off by going up
seven to one (h3geo.org: "Coordinate systems", "H3Index bit layout"). `geo.leaves` does that. Which base cell a lattice
position belongs to, and by how many sixths its digits turn from the face's axes to the base cell's, is not copied from
anywhere: the library is asked once, here, for points all over the globe.

The answer is the library's for every point. Where rounding could decide otherwise than the library's own does, the
library is asked: within `_GUARD` of a cell's edge, near a face's centre, in a corner no asked point fell into.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Final, TypeAlias

import numpy as np

from geo.arrays import Cells, Floats, frozen
from geo.errors import GeoError
from geo.leaves import ASK, DIGITS, KIND, KINDS, LEAF_RES, ROWS, UNKNOWN, Grid, compose, leaves, located, read_off

Library: TypeAlias = Callable[[Floats, Floats], Cells]
"""(lat, lng) of valid positions → their leaf cells."""

_ASKED: Final = 8_000
_ASKED_AN_EDGE: Final = 300
_BESIDE: Final = 1e-5
_TESTED: Final = 4_000
_SIXTHS: Final = 6
_RES0_UNIT: Final = 0.381966011250105
"""Distance of neighbouring lattice points at res 0 on a face's plane: the golden ratio squared, inverted."""
_TURN: Final = float(np.arcsin(np.sqrt(3.0 / 28.0)))
"""By which the lattices of odd resolutions are turned against those of even ones, radians."""
_TURNS: Final = 7
_BASE_CELL = np.uint64(0x7F << 45)


def encode_with(grid: Grid, library: Library, lat: Floats, lng: Floats) -> Cells:
    """u8[n]: leaf cells; 0 where the position is not `valid`."""
    lat, lng = frozen(lat, np.float64), frozen(lng, np.float64)
    cells = np.empty(len(lat), np.uint64)
    if leaves(grid, lat, lng, cells):
        ask = np.flatnonzero(cells == ASK)
        cells[ask] = library(lat[ask], lng[ask])
    return cells


def locate_with(grid: Grid, library: Library, lat: Floats, lng: Floats) -> tuple[Cells, Floats]:
    """`encode_with`, and f8[n, 3]: the unit vectors; anything where the position is not `valid`."""
    cells, units = np.empty(len(lat), np.uint64), np.empty((len(lat), 3), np.float64)
    if located(grid, lat, lng, units, cells):
        ask = np.flatnonzero(cells == ASK)
        cells[ask] = library(lat[ask], lng[ask])
    return cells, units


def grid_of(library: Library, corners: Floats) -> Grid:
    """The grid, by the library's answers; *corners* f8[12, 3] are the icosahedron's. Some hundredths of a second.

    Raises `GeoError` when points it was not made from come out otherwise than the library has them.
    """
    faces = _faces(corners)
    lat, lng = (np.concatenate(two) for two in zip(_spread(_ASKED, 0.5), _beside_edges(corners), strict=True))
    grid = Grid(faces, _kinds(faces, library, lat, lng))
    lat, lng = _spread(_TESTED, 0.25)
    if wrong := int(np.count_nonzero(encode_with(grid, library, lat, lng) != library(lat, lng))):
        raise GeoError(f"{wrong} of {_TESTED} cells differ from the h3 library's: this is not the H3 we know")
    return grid


def _faces(corners: Floats) -> Floats:
    """f8[20, 3, 3]: as `Grid.faces`; an i axis points to one of the face's corners, whichever."""
    threes = [np.array(three) for three in combinations(corners, 3) if _neighbours(three)]
    half: list[Floats] = []
    for three in threes:
        if not any(np.dot(three.sum(axis=0), other.sum(axis=0)) < -5.0 for other in half):
            half.append(three)
    return frozen([_face(three) for three in half] + [_face(-three) for three in half], np.float64)


def _neighbours(corners: tuple[Floats, ...]) -> bool:
    """Whether three corners of the icosahedron make a face: neighbours have 1/√5 as their cosine."""
    return all(np.dot(one, other) > 0.4 for one, other in combinations(corners, 2))


def _face(corners: Floats) -> Floats:
    """f8[3, 3]: centre and both axes of the face with these three corners."""
    centre = corners.sum(axis=0) / np.linalg.norm(corners.sum(axis=0))
    across = corners[0] - centre * np.dot(centre, corners[0])
    right = across / np.linalg.norm(across)
    up = np.cross(centre, right)
    per_unit = np.sqrt(7.0) ** LEAF_RES / _RES0_UNIT
    x = (right * np.cos(_TURN) + up * np.sin(_TURN)) * per_unit
    y = (up * np.cos(_TURN) - right * np.sin(_TURN)) * per_unit
    return np.stack([centre, x, y])


def _kinds(faces: Floats, library: Library, lat: Floats, lng: Floats) -> Cells:
    """u8[KINDS]: as `Grid.kinds`, from what the library says of these points.

    A kind's turn is the one that makes all its points the library's; a kind without points or without such a turn
    stays unknown.
    """
    way = np.empty((ROWS, len(lat)))
    read_off(faces, frozen(lat, np.float64), frozen(lng, np.float64), way)
    kind, cells = way[KIND].astype(np.intp), library(lat, lng)
    wanted = cells & ~_BASE_CELL
    known = np.zeros(len(lat), np.bool_)
    wrong = np.empty((_SIXTHS, KINDS))
    for sixths in range(_SIXTHS):
        turned = np.empty(len(lat), np.uint64)
        compose(frozen(np.full(KINDS, sixths), np.uint64), way, turned)
        known = turned != ASK
        wrong[sixths] = np.bincount(kind[known], turned[known] != wanted[known], KINDS)
    good = (wrong == 0) & (np.bincount(kind[known], minlength=KINDS) > 0)
    kinds = np.where(good.any(axis=0), good.argmax(axis=0), UNKNOWN).astype(np.uint64)
    base = np.zeros(KINDS, np.uint64)
    base[kind[known]] = cells[known] & _BASE_CELL
    return _with_middles(kinds | base)


def _with_middles(kinds: Cells) -> Cells:
    """u8[KINDS]: digits that are all 0 need no turn, so their kind is known by any other of the same base cell."""
    each = kinds.reshape(-1, DIGITS)
    known = each & np.uint64(_TURNS) != UNKNOWN
    some = each[np.arange(len(each)), known.argmax(axis=1)]
    each[:, 0] = np.where(known.any(axis=1), some & ~np.uint64(_TURNS), each[:, 0])
    return frozen(each.reshape(-1), np.uint64)


def _spread(count: int, offset: float) -> tuple[Floats, Floats]:
    """(lat f8[n], lng f8[n]): points spread evenly over the globe (a Fibonacci lattice)."""
    nth = np.arange(count) + offset
    lat = np.degrees(np.arcsin(1.0 - 2.0 * nth / count))
    lng = (nth * 180.0 * (3.0 - np.sqrt(5.0)) + 180.0) % 360.0 - 180.0
    return lat, lng


def _beside_edges(corners: Floats) -> tuple[Floats, Floats]:
    """(lat f8[n], lng f8[n]): points on both sides of all edges between faces. Some kinds lie nowhere else."""
    share = ((np.arange(_ASKED_AN_EDGE) + 0.5) / _ASKED_AN_EDGE)[:, None]
    each = [
        one * share + other * (1.0 - share) + side * np.cross(one, other)
        for one, other in combinations(corners, 2)
        if _neighbours((one, other))
        for side in (_BESIDE, -_BESIDE)
    ]
    x, y, z = np.concatenate(each).T
    return np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))
