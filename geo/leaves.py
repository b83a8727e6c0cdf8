"""Positions to leaf cells: the kernels of `geo.grid`.

Every step is a loop of its own over a block of points, with no branch and no call into a library in it, and whole
numbers kept in floats: such loops become vector instructions, one over all steps does not. What a step leaves for the
next ones is a row of the block's *way*, f8[ROWS, n].
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from geo.arrays import Cells, Floats
from geo.kernels import allocating, fused, kernel
from geo.position import LAT_MAX_DEG, LNG_MAX_DEG
from geo.sphere import sin_cos

LEAF_RES: Final = 11
ASK = np.uint64(1)
"""In place of a cell: the library must be asked. (No cell is 1; 0 says that the position is not valid.)"""

FACES: Final = 20
PLACES: Final = 27
DIGITS: Final = 7
KINDS: Final = FACES * PLACES * DIGITS
UNKNOWN: Final = 7
"""In place of the sixths of a kind."""

VALID, X, Y, Z, FACE, COSINE, CLEAR, DIGITS_READ, FIRST, KIND = range(10)
"""Rows of a way. X, Y: of the unit vector, then on the face's plane, then the lattice point's coordinates a and b.
COSINE: of the angle to the face's centre. CLEAR: whether the library need not be asked, so far.
FIRST: the coarsest digit that is not zero, or 0. KIND: index into `Grid.kinds`.
"""
ROWS: Final = 10
_BLOCK: Final = 256
"""Points whose way stays in the processor's nearest cache."""

_GUARD: Final = 1e-6
"""In units of the leaf lattice. The library goes through angles: it was seen off by 1e-6 over the distance to the
face's centre, in these units, and by 2e-10 far out. Two equally near faces need no guard: along their edge both planes
agree.
"""
_NEAR_CENTRE: Final = 20.0
"""In units of the leaf lattice; within, the library's arc cosine has too few digits left for `_GUARD`."""
_SIN60: Final = math.sqrt(0.75)
_SEVENTH: Final = 1.0 / 7.0

LEAF_SHIFT: Final = 3 * (15 - LEAF_RES)
_HEAD: Final = (1 << 59) | (LEAF_RES << 52) | ((1 << LEAF_SHIFT) - 1)
_LOWEST_BITS: Final = sum(1 << 3 * level for level in range(LEAF_RES))
_ONE, _TWO, _SEVEN = np.uint64(1), np.uint64(2), np.uint64(7)
_HEAD_BITS, _AT = np.uint64(_HEAD), np.uint64(LEAF_SHIFT)
_K, _JK, _I = np.uint64(_LOWEST_BITS), np.uint64(3 * _LOWEST_BITS), np.uint64(4 * _LOWEST_BITS)


class Grid(NamedTuple):
    """The faces and their lattices; what kernels see."""

    faces: Floats
    """f8[20, 3, 3]: unit vector of the face's centre, then the leaf lattice's two Cartesian coordinates on its plane,
    linear in the unit vector. Face f + 10 lies opposite to face f.
    """
    kinds: Cells
    """u8[20 * 27 * 7], by face, lattice position of res 0 and first digit that is not zero: the base cell at its place
    in the index, and in the lowest bits by how many sixths the digits turn, or `UNKNOWN`.
    """


@allocating
def leaves(grid: Grid, lat: Floats, lng: Floats, cells: Cells) -> int:
    """Write every leaf cell, 0 or `ASK`; how many the library must be asked for."""
    asks = 0
    for start in range(0, len(lat), _BLOCK):
        some = cells[start : start + _BLOCK]
        way = np.empty((ROWS, len(some)))
        read_off(grid.faces, lat[start : start + _BLOCK], lng[start : start + _BLOCK], way)
        asks += compose(grid.kinds, way, some)
    return asks


@allocating
def located(grid: Grid, lat: Floats, lng: Floats, units: Floats, cells: Cells) -> int:
    """As `leaves`; and write the unit vectors into f8[n, 3]."""
    asks = 0
    for start in range(0, len(lat), _BLOCK):
        some = cells[start : start + _BLOCK]
        way = np.empty((ROWS, len(some)))
        _to_unit_vectors(lat[start : start + _BLOCK], lng[start : start + _BLOCK], way)
        x, y, z = way[X], way[Y], way[Z]
        for i in range(len(some)):
            units[start + i, 0], units[start + i, 1], units[start + i, 2] = x[i], y[i], z[i]
        _from_unit_vectors(grid.faces, way)
        asks += compose(grid.kinds, way, some)
    return asks


@kernel
def read_off(faces: Floats, lat: Floats, lng: Floats, way: Floats) -> None:
    """All that can be said of points while nothing is known of base cells."""
    _to_unit_vectors(lat, lng, way)
    _from_unit_vectors(faces, way)


@kernel
def _from_unit_vectors(faces: Floats, way: Floats) -> None:
    """The rest of it."""
    _to_faces(faces, way)
    _to_planes(faces, way)
    _to_lattice(way)
    _to_digits(way)
    _to_kinds(way)


@kernel
def _to_unit_vectors(lat: Floats, lng: Floats, way: Floats) -> None:
    """As `geo.sphere.unit`; a position that is not `valid` goes on as 0, 0."""
    valid, x, y, z = way[VALID], way[X], way[Y], way[Z]
    for i in range(len(lat)):
        good = (abs(lat[i]) <= LAT_MAX_DEG) & (abs(lng[i]) <= LNG_MAX_DEG)
        sin_lat, cos_lat = sin_cos(lat[i] if good else 0.0)
        sin_lng, cos_lng = sin_cos(lng[i] if good else 0.0)
        x[i], y[i], z[i] = cos_lat * cos_lng, cos_lat * sin_lng, sin_lat
        valid[i] = 1.0 if good else 0.0


@fused
def _to_faces(faces: Floats, way: Floats) -> None:
    """The nearest face; opposite faces share a product."""
    x, y, z, face, cosine = way[X], way[Y], way[Z], way[FACE], way[COSINE]
    for i in range(len(x)):
        nearest, most = 0.0, 0.0
        for f in range(FACES // 2):
            product = faces[f, 0, 0] * x[i] + faces[f, 0, 1] * y[i] + faces[f, 0, 2] * z[i]
            side = f if product > 0.0 else f + FACES // 2
            nearest = float(side) if abs(product) > most else nearest
            most = abs(product) if abs(product) > most else most
        face[i], cosine[i] = nearest, most


@fused
def _to_planes(faces: Floats, way: Floats) -> None:
    """Gnomonic projection on the nearest face's plane, in units of the leaf lattice."""
    x, y, z, face, cosine = way[X], way[Y], way[Z], way[FACE], way[COSINE]
    for i in range(len(x)):
        f = np.uint64(np.int64(face[i]))
        right = (faces[f, 1, 0] * x[i] + faces[f, 1, 1] * y[i] + faces[f, 1, 2] * z[i]) / cosine[i]
        up = (faces[f, 2, 0] * x[i] + faces[f, 2, 1] * y[i] + faces[f, 2, 2] * z[i]) / cosine[i]
        x[i], y[i] = right, up


@kernel
def _to_lattice(way: Floats) -> None:
    """Nearest point a (1, 0) + b (-1/2, √3/2) of the lattice; clear when rounding cannot have decided.

    Three coordinates that sum to zero are rounded, and the one that was farthest off follows from the other two.
    """
    x, y, clear = way[X], way[Y], way[CLEAR]
    for i in range(len(x)):
        b = y[i] / _SIN60
        a = x[i] + 0.5 * b
        c = a - b
        at_a, at_b, at_c = np.rint(a), np.rint(b), np.rint(c)
        off_a, off_b, off_c = abs(at_a - a), abs(at_b - b), abs(at_c - c)
        follows_c = (off_c > off_b) & (off_c > off_a)
        follows_b = (off_b > off_a) & (off_c <= off_b)
        at_a = at_a if follows_c | follows_b else at_b + at_c
        at_b = at_a - at_c if follows_b else at_b
        to_a, to_b = a - at_a, b - at_b
        along_a, along_b, across = abs(2.0 * to_a - to_b), abs(2.0 * to_b - to_a), abs(to_a + to_b)
        widest = along_a if along_a > along_b else along_b
        widest = widest if widest > across else across  # 1 on the edge of the cell
        far = x[i] * x[i] + y[i] * y[i] >= _NEAR_CENTRE * _NEAR_CENTRE
        clear[i] = 1.0 if far & (widest < 1.0 - 2.0 * _GUARD) else 0.0
        x[i], y[i] = at_a, at_b


@fused
def _to_digits(way: Floats) -> None:
    """Go up seven to one, from the leaves to res 0: digits of odd and even resolutions by turns."""
    x, y, digits, first = way[X], way[Y], way[DIGITS_READ], way[FIRST]
    for i in range(len(x)):
        a, b, packed, coarsest, place = x[i], y[i], 0.0, 0.0, 1.0
        for _ in range(LEAF_RES // 2):
            a, b, digit = step_up(a, b, 3.0, -1.0, 1.0, 2.0)
            packed += digit * place
            coarsest = digit if digit > 0.0 else coarsest
            a, b, digit = step_up(a, b, 2.0, 1.0, -1.0, 3.0)
            packed += digit * place * 8.0
            coarsest = digit if digit > 0.0 else coarsest
            place *= 64.0
        a, b, digit = step_up(a, b, 3.0, -1.0, 1.0, 2.0)
        packed += digit * place
        coarsest = digit if digit > 0.0 else coarsest
        x[i], y[i], digits[i], first[i] = a, b, packed, coarsest


@fused
def step_up(a: float, b: float, aa: float, ab: float, ba: float, bb: float) -> tuple[float, float, float]:
    """(a, b) of the nearest coarser point, and the digit: the step from there to (a, b), as i 4 + j 2 + k. The matrix
    over 7 turns and shrinks to the coarser axes. Never in doubt: sevenths are no halves.
    """
    up_a, up_b = np.rint((aa * a + ab * b) * _SEVENTH), np.rint((ba * a + bb * b) * _SEVENTH)
    i, j = a - (bb * up_a - ab * up_b), b - (aa * up_b - ba * up_a)
    return up_a, up_b, 4.0 * i + 2.0 * j - 7.0 * _least(i, j)


@kernel
def _least(a: float, b: float) -> float:
    """Of a, b and 0. (`min` minds NaN, which costs more than all else in the loop.)"""
    less = a if a < b else b
    return less if less < 0.0 else 0.0


@fused
def _to_kinds(way: Floats) -> None:
    """The lattice point of res 0 as three coordinates 0 to 2, one of them 0; one beyond is a cell's that none has."""
    x, y, face, first, clear, kind = way[X], way[Y], way[FACE], way[FIRST], way[CLEAR], way[KIND]
    for i in range(len(x)):
        low = _least(x[i], y[i])
        within = (x[i] - low <= 2.0) & (y[i] - low <= 2.0) & (low >= -2.0)
        place = 9.0 * (x[i] - low) + 3.0 * (y[i] - low) - low
        kind[i] = (face[i] * PLACES + place) * DIGITS + first[i] if within else 0.0
        clear[i] = clear[i] if within else 0.0


@kernel
def compose(kinds: Cells, way: Floats, cells: Cells) -> int:
    """Write the cells of points read off, 0 or `ASK`; how many are `ASK`."""
    valid, clear, kinds_read, digits = way[VALID], way[CLEAR], way[KIND], way[DIGITS_READ]
    asks = 0
    for i in range(len(cells)):
        kind = kinds[np.uint64(np.int64(kinds_read[i]))]
        turns = kind & _SEVEN
        known = (clear[i] > 0.0) & (turns != UNKNOWN)
        cell = (
            _HEAD_BITS | kind | (turned(np.uint64(np.int64(digits[i])), turns) << _AT)
        )  # the lowest bits are ones in any cell
        cell = cell if known else ASK
        cell = cell if valid[i] > 0.0 else np.uint64(0)
        asks += cell == ASK
        cells[i] = cell
    return asks


@kernel
def turned(digits: np.uint64, sixths: np.uint64) -> np.uint64:
    """Digits turned counterclockwise. A digit's bits are its steps along i, j, k, which lie a third apart, so a third
    moves the bits of a digit round, and half a turn inverts them, but for the digit 0.
    """
    third = ((digits >> _ONE) & _JK) | ((digits << _TWO) & _I)
    two_thirds = ((third >> _ONE) & _JK) | ((third << _TWO) & _I)
    once, twice = (sixths == 2) | (sixths == 5), (sixths == 1) | (sixths == 4)
    turned = third if once else two_thirds if twice else digits
    not_zero = (turned | (turned >> _ONE) | (turned >> _TWO)) & _K
    return np.uint64(turned ^ (not_zero * (_SEVEN * (sixths & _ONE))))
