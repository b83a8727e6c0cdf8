"""Leaf cells of many points at once: H3's projection in a kernel of our own.

H3 projects a point on the plane of the nearest of the icosahedron's 20 faces (gnomonic, so linear in the unit vector
but for one division), takes the nearest point of a triangular lattice there, and reads the digits off by going up
seven to one (h3geo.org: "Coordinate systems", "H3Index bit layout"). Which base cell a lattice position belongs to,
and by how many sixths its digits turn from the face's axes to the base cell's, is not copied from anywhere: the library
is asked once, for points all over the globe.

The answer is the library's for every point. Where rounding could decide otherwise than the library's own does, the
library is asked: within `_GUARD` of a cell's edge, near a face's centre, where two faces are equally near, in a corner
no asked point fell into.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np

from geo.arrays import Bytes, Cells, Floats, Longs, frozen
from geo.errors import GeoError
from geo.kernels import kernel
from geo.position import LAT_MAX_DEG, LNG_MAX_DEG
from geo.sphere import unit

LEAF_RES: Final = 11
ASK = np.uint64(1)
"""In place of a cell: the library must be asked. (No cell is 1; 0 says that the position is not valid.)"""

Library = Callable[[Floats, Floats], Cells]
"""(lat, lng) of valid positions → their leaf cells."""

_ASKED: Final = 60_000
_TESTED: Final = 4_000
_FACES: Final = 20
_PLACES: Final = 27
_DIGITS: Final = 7
_UNKNOWN: Final = 255

_RES0_UNIT: Final = 0.381966011250105
"""Distance of neighbouring lattice points at res 0 on a face's plane: the golden ratio squared, inverted."""
_TURN: Final = float(np.arcsin(np.sqrt(3.0 / 28.0)))
"""By which the lattices of odd resolutions are turned against those of even ones, radians."""
_GUARD: Final = 1e-6
"""In units of the leaf lattice; the library, which goes through angles, is off by 1e-8 of them at `_NEAR_CENTRE`."""
_NEAR_CENTRE: Final = 20.0
"""In units of the leaf lattice: the library's arc cosine loses its digits here."""
_SAME_FACE: Final = 1e-11
_SIN60: Final = float(np.sqrt(0.75))

_LEAF_SHIFT: Final = 3 * (15 - LEAF_RES)
_HEAD = np.uint64((1 << 59) | (LEAF_RES << 52) | ((1 << _LEAF_SHIFT) - 1))
_DIGIT_OF = np.array([1, 3, 0, 5, 0, 2, 0, 4, 6], np.int64)
"""Digit of a step (a, b), each -1 to 1, at 3 (a + 1) + (b + 1)."""
_CCW = np.array([0, 5, 3, 1, 6, 4, 2], np.uint8)
"""A digit turned counterclockwise by a sixth."""


class Grid(NamedTuple):
    """The faces and their lattices; what kernels see."""

    centre: Floats
    """f8[20, 3]: unit vectors of the faces' centres."""
    axes: Floats
    """f8[20, 2, 3]: the leaf lattice's two Cartesian coordinates on the face's plane, linear in the unit vector."""
    base: Cells
    """u8[20, 27]: base cell of a lattice position of res 0, at its place in the index."""
    turns: Bytes
    """u1[20, 27, 7]: sixths by which the digits turn, by the first that is not zero; `_UNKNOWN`: ask."""
    turned: Bytes
    """u1[6, 7]: a digit turned by so many sixths."""


def encode_with(grid: Grid, library: Library, lat: Floats, lng: Floats) -> Cells:
    """u8[n]: leaf cells; 0 where the position is not `valid`."""
    cells = np.empty(len(lat), np.uint64)
    if _leaves(grid, frozen(lat, np.float64), frozen(lng, np.float64), cells):
        ask = np.flatnonzero(cells == ASK)
        cells[ask] = library(lat[ask], lng[ask])
    return cells


# ── Kernels ──


@kernel
def _leaves(grid: Grid, lat: Floats, lng: Floats, cells: Cells) -> int:
    """Write every leaf cell, 0 or `ASK`; how many the library must be asked for."""
    asks = 0
    for i in range(len(lat)):
        cells[i] = 0
        if abs(lat[i]) <= LAT_MAX_DEG and abs(lng[i]) <= LNG_MAX_DEG:
            cells[i] = leaf(grid, unit(lat[i], lng[i]))
            asks += cells[i] == ASK
    return asks


@kernel
def leaf(grid: Grid, here: tuple[float, float, float]) -> np.uint64:
    """Leaf cell of one unit vector, or `ASK`; callable from kernels."""
    face, place, digits = _unturned(grid, here)
    if face < 0:
        return ASK
    turns = grid.turns[face, place, _first(digits)]
    if turns == _UNKNOWN:
        return ASK
    turned = np.uint64(0)
    for level in range(LEAF_RES):
        at = np.uint64(_LEAF_SHIFT + 3 * level)
        turned |= np.uint64(grid.turned[turns, np.int64((digits >> at) & np.uint64(7))]) << at
    return np.uint64(_HEAD | grid.base[face, place] | turned)


@kernel
def _unturned(grid: Grid, here: tuple[float, float, float]) -> tuple[int, int, np.uint64]:
    """(face, lattice position at res 0, digits by the face's axes); face -1: the library must be asked."""
    face, nearest, second = 0, -2.0, -2.0
    for f in range(_FACES):
        near = grid.centre[f, 0] * here[0] + grid.centre[f, 1] * here[1] + grid.centre[f, 2] * here[2]
        if near > nearest:
            face, nearest, second = f, near, nearest
        elif near > second:
            second = near
    axes = grid.axes[face]
    x = (axes[0, 0] * here[0] + axes[0, 1] * here[1] + axes[0, 2] * here[2]) / nearest
    y = (axes[1, 0] * here[0] + axes[1, 1] * here[1] + axes[1, 2] * here[2]) / nearest
    a, b, clear = _lattice_point(x, y)
    if not clear or nearest - second < _SAME_FACE or x * x + y * y < _NEAR_CENTRE * _NEAR_CENTRE:
        return -1, 0, np.uint64(0)
    digits, at = np.uint64(0), _LEAF_SHIFT
    for level in range(LEAF_RES):
        if (LEAF_RES - level) % 2:
            up_a, up_b = (6 * a - 2 * b + 7) // 14, (2 * a + 4 * b + 7) // 14
            a, b = a - (2 * up_a + up_b), b - (3 * up_b - up_a)
        else:
            up_a, up_b = (4 * a + 2 * b + 7) // 14, (6 * b - 2 * a + 7) // 14
            a, b = a - (3 * up_a - up_b), b - (up_a + 2 * up_b)
        digits |= np.uint64(_DIGIT_OF[3 * (a + 1) + (b + 1)]) << np.uint64(at)
        a, b, at = up_a, up_b, at + 3
    low = min(0, a, b)
    i, j, k = a - low, b - low, -low
    if max(i, j, k) > 2:
        return -1, 0, np.uint64(0)
    return face, 9 * i + 3 * j + k, digits


@kernel
def _lattice_point(x: float, y: float) -> tuple[int, int, bool]:
    """Nearest point a (1, 0) + b (-1/2, √3/2) of the lattice, and whether it is so by more than `_GUARD`."""
    r = y / _SIN60
    s = -(x + 0.5 * r)
    q = -r - s
    near_q, near_r, near_s = np.floor(q + 0.5), np.floor(r + 0.5), np.floor(s + 0.5)
    off_q, off_r, off_s = abs(near_q - q), abs(near_r - r), abs(near_s - s)
    if off_q > off_r and off_q > off_s:
        near_q = -near_r - near_s
    elif off_r > off_s:
        near_r = -near_q - near_s
    else:
        near_s = -near_q - near_r
    dq, dr, ds = q - near_q, r - near_r, s - near_s
    widest = max(abs(dq - dr), abs(dr - ds), abs(ds - dq))  # 1 on the edge of the cell
    return int(-near_s), int(near_r), bool(widest < 1.0 - 2.0 * _GUARD)


@kernel
def _first(digits: np.uint64) -> int:
    """The coarsest digit that is not zero, or 0."""
    for level in range(LEAF_RES - 1, -1, -1):
        digit = np.int64((digits >> np.uint64(_LEAF_SHIFT + 3 * level)) & np.uint64(7))
        if digit:
            return int(digit)  # of an unsigned integer, numba's int() would be unsigned too
    return 0


class Unturned(NamedTuple):
    """What is read off before anything is known of base cells; face -1: nothing could be."""

    face: Longs
    place: Longs
    first: Longs
    digits: Cells


@kernel
def _read_off(grid: Grid, lat: Floats, lng: Floats, out: Unturned) -> None:
    for i in range(len(lat)):
        out.face[i], out.place[i], out.digits[i] = _unturned(grid, unit(lat[i], lng[i]))
        out.first[i] = _first(out.digits[i])


# ── Tables ──


def grid_of(library: Library, corners: Floats) -> Grid:
    """The grid, by the library's answers; *corners* f8[12, 3] are the icosahedron's. About a tenth of a second.

    Raises `GeoError` when points it was not made from come out otherwise than the library has them.
    """
    grid = _taught(_untaught(corners), library)
    lat, lng = _spread(_TESTED, 0.25)
    if wrong := int(np.count_nonzero(encode_with(grid, library, lat, lng) != library(lat, lng))):
        raise GeoError(f"{wrong} of {_TESTED} cells differ from the h3 library's: this is not the H3 we know")
    return grid


def _untaught(corners: Floats) -> Grid:
    """Faces and axes; an i axis points to one of the face's corners, whichever."""
    threes = [np.array(three) for three in combinations(corners, 3) if _neighbours(three)]
    centre = np.array([three.sum(axis=0) / np.linalg.norm(three.sum(axis=0)) for three in threes])
    across = (
        np.array([three[0] for three in threes]) - centre * np.sum(centre * [t[0] for t in threes], axis=1)[:, None]
    )
    right = across / np.linalg.norm(across, axis=1)[:, None]
    up = np.cross(centre, right)
    axes = np.stack([right * np.cos(_TURN) + up * np.sin(_TURN), up * np.cos(_TURN) - right * np.sin(_TURN)], axis=1)
    turned = np.empty((6, _DIGITS), np.uint8)
    turned[0] = np.arange(_DIGITS)
    for sixths in range(1, 6):
        turned[sixths] = _CCW[turned[sixths - 1]]
    return Grid(
        frozen(centre, np.float64),
        frozen(axes * np.sqrt(7.0) ** LEAF_RES / _RES0_UNIT, np.float64),
        frozen(np.zeros((_FACES, _PLACES)), np.uint64),
        frozen(np.full((_FACES, _PLACES, _DIGITS), _UNKNOWN), np.uint8),
        frozen(turned, np.uint8),
    )


def _neighbours(corners: tuple[Floats, ...]) -> bool:
    """Whether three corners of the icosahedron make a face: neighbours have 1/√5 as their cosine."""
    return all(np.dot(one, other) > 0.4 for one, other in combinations(corners, 2))


def _taught(plain: Grid, library: Library) -> Grid:
    """Base cells and turns, from what the library says of points all over the globe."""
    lat, lng = _spread(_ASKED, 0.5)
    face, place = np.empty(_ASKED, np.int64), np.empty(_ASKED, np.int64)
    first, digits = np.empty(_ASKED, np.int64), np.empty(_ASKED, np.uint64)
    _read_off(plain, frozen(lat, np.float64), frozen(lng, np.float64), Unturned(face, place, first, digits))
    known = face >= 0
    cells = library(lat, lng)[known]
    where = (face * _PLACES + place)[known]
    kind = where * _DIGITS + first[known]
    wanted = (cells >> np.uint64(_LEAF_SHIFT)) & np.uint64((1 << 3 * LEAF_RES) - 1)
    kinds = _FACES * _PLACES * _DIGITS
    wrong = np.array([np.bincount(kind, _turn(digits[known], by) != wanted, kinds) for by in plain.turned])
    good = (wrong == 0) & (np.bincount(kind, minlength=kinds) > 0)
    turns = np.where(good.any(axis=0), good.argmax(axis=0), _UNKNOWN).reshape(plain.turns.shape)
    base = np.zeros(_FACES * _PLACES, np.uint64)
    base[where] = cells & np.uint64(0x7F << 45)
    return plain._replace(base=frozen(base.reshape(plain.base.shape), np.uint64), turns=frozen(turns, np.uint8))


def _turn(digits: Cells, by: Bytes) -> Cells:
    """u8[n]: packed digits, each turned."""
    turned = np.zeros(len(digits), np.uint64)
    for level in range(LEAF_RES):
        digit = (digits >> np.uint64(_LEAF_SHIFT + 3 * level)) & np.uint64(7)
        turned |= by[digit.astype(np.intp)].astype(np.uint64) << np.uint64(3 * level)
    return turned


def _spread(count: int, offset: float) -> tuple[Floats, Floats]:
    """(lat f8[n], lng f8[n]): points spread evenly over the globe (a Fibonacci lattice)."""
    nth = np.arange(count) + offset
    lat = np.degrees(np.arcsin(1.0 - 2.0 * nth / count))
    lng = (nth * 180.0 * (3.0 - np.sqrt(5.0)) + 180.0) % 360.0 - 180.0
    return lat, lng
