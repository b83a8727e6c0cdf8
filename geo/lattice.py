"""Cells of one resolution around a point, without asking the library. Kernels only.

On the plane of a face the centres of all cells of one resolution form a triangular lattice: that of the leaves, taken
√7 times as wide and turned for each resolution coarser (`geo.leaves` goes up that way). A lattice point that is nearer
to its own face's centre than to any other's is the centre of a cell, and each cell's centre is such a point; one on the
edge of two faces is left to the first. So a disc is walked through on each face it may touch, and nothing is special
about face edges, pentagons, poles or ±180°.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np

from geo.arrays import Cells, Floats
from geo.cells import ancestor
from geo.kernels import kernel
from geo.leaves import ASK, DIGITS, FACES, LEAF_RES, LEAF_SHIFT, PLACES, UNKNOWN, Grid, step_up, turned

Vector: TypeAlias = tuple[float, float, float]
"""x, y, z of a unit vector."""

SPREAD: Final = 1.06
"""A point whose leaf cell descends from a cell lies within so many of its circumradii of its centre, both taken on the
plane. Proven for 1.0525 = √3 Σ 7^(-i/2): a child's centre lies one step of its own lattice from its parent's, or on it.
(Across an edge of two faces the plane goes on, unfolded. Around the corner where five faces meet a sixth of the plane
is missing, but no descendant of a cell beside the corner lies so far that it would matter.)
"""
_SIN60: Final = math.sqrt(0.75)
_SIN_FARTHEST: Final = 0.6072
"""Sine of the angle from a face's centre to its corners: no cosine to the nearest face's centre changes faster."""
_COS_FARTHEST: Final = 0.7946
"""Cosine of the same."""
_TIE: Final = 1e-10
"""Cosines to two faces' centres that differ by less are of a point on their edge; other lattice points lie 1e-6 off."""
_WIDE: Final = 1e-9
"""Radians by which a disc is taken wider, against rounding: 6 mm."""
_HEAD: Final = np.uint64((1 << 59) | (LEAF_RES << 52) | ((1 << LEAF_SHIFT) - 1))
_TURNS: Final = np.uint64(7)
_COS_TURN, _SIN_TURN = 5.0 / math.sqrt(28.0), -math.sqrt(3.0 / 28.0)
"""Of the angle by which lattices of even resolutions are turned against the leaves'."""


@kernel
def step(res: int) -> float:
    """Distance of neighbouring lattice points, in units of the leaf lattice."""
    return float(math.sqrt(7.0) ** (LEAF_RES - res))


@kernel
def nearest_cosine(faces: Floats, here: Vector) -> float:
    """Of the angle to the nearest face's centre."""
    most = 0.0
    for f in range(FACES // 2):
        most = max(most, abs(faces[f, 0, 0] * here[0] + faces[f, 0, 1] * here[1] + faces[f, 0, 2] * here[2]))
    return most


@kernel
def spread(faces: Floats, here: Vector, reach: float, res: int) -> float:
    """Radians: no point of a cell that has its centre or any point within *reach* of *here* is farther from its centre.

    A length on the plane is on the sphere at most as long as times the cosine of the angle to the face's centre.
    """
    flat = SPREAD * step(res) / math.sqrt(3.0) / _per_unit(faces)
    cosine = nearest_cosine(faces, here) + _SIN_FARTHEST * (reach + 2.0 * flat)
    return flat * min(1.0, cosine) + _WIDE


@kernel
def _per_unit(faces: Floats) -> float:
    """Units of the leaf lattice a radian at a face's centre."""
    return math.sqrt(faces[0, 1, 0] ** 2 + faces[0, 1, 1] ** 2 + faces[0, 1, 2] ** 2)


@kernel
def most(faces: Floats, reach: float, res: int) -> int:
    """No more cells than these have their centres within *reach* radians of a point."""
    rows = 2.0 * reach * _per_unit(faces) / (_COS_FARTHEST**2 * step(res)) + 3.0
    return int(2.0 * rows * rows)


@kernel
def around(grid: Grid, here: Vector, reach: float, res: int, cells: Cells, xyz: Floats) -> int:
    """Write the cells with their centres within *reach* radians of *here*, and those centres, f8[n, 3]; how many.

    There is room for `most`. In place of a cell that only the library knows, `ASK`.
    """
    faces, count, nearest = grid.faces, 0, nearest_cosine(grid.faces, here)
    for f in range(FACES):
        cosine = faces[f, 0, 0] * here[0] + faces[f, 0, 1] * here[1] + faces[f, 0, 2] * here[2]
        if cosine >= nearest - 2.0 * reach - _WIDE:
            only = cosine > _next_cosine(faces, here, f) + 2.0 * reach + _WIDE
            count = _on_face(grid, here, (reach, cosine), (f, res, only), (cells, xyz, count))
    return count


@kernel
def _next_cosine(faces: Floats, here: Vector, face: int) -> float:
    """Of the angle to the nearest of the other faces' centres."""
    most = -1.0
    for f in range(FACES):
        if f != face:
            most = max(most, faces[f, 0, 0] * here[0] + faces[f, 0, 1] * here[1] + faces[f, 0, 2] * here[2])
    return most


@kernel
def _on_face(
    grid: Grid, here: Vector, disc: tuple[float, float], which: tuple[int, int, bool], out: tuple[Cells, Floats, int]
) -> int:
    """`around` on one face. disc: reach, cosine of the angle to the face's centre. which: face, resolution, whether
    the disc lies on no other face. out: cells, xyz, how many are there.
    """
    (reach, cosine), (f, res, only), (cells, xyz, count) = disc, which, out
    faces, limit = grid.faces, 4.0 * math.sin(0.5 * reach) ** 2
    cx, cy, cz = faces[f, 0, 0], faces[f, 0, 1], faces[f, 0, 2]
    rx, ry, rz = faces[f, 1, 0], faces[f, 1, 1], faces[f, 1, 2]
    ux, uy, uz = faces[f, 2, 0], faces[f, 2, 1], faces[f, 2, 2]
    unit2 = 1.0 / (rx * rx + ry * ry + rz * rz)
    right = (rx * here[0] + ry * here[1] + rz * here[2]) / cosine
    up = (ux * here[0] + uy * here[1] + uz * here[2]) / cosine
    least = max(min(cosine, _COS_FARTHEST), cosine - reach)
    radius, apart = reach / (least * least * math.sqrt(unit2)), step(res)
    if res % 2 == 0:
        cos_turn, sin_turn = _COS_TURN, _SIN_TURN
    else:
        cos_turn, sin_turn = 1.0, 0.0
    x, y, height = cos_turn * right + sin_turn * up, cos_turn * up - sin_turn * right, apart * _SIN60
    for b in range(math.ceil((y - radius) / height), math.floor((y + radius) / height) + 1):
        half = math.sqrt(max(0.0, radius * radius - (b * height - y) ** 2))
        for a in range(math.ceil((x - half) / apart + 0.5 * b), math.floor((x + half) / apart + 0.5 * b) + 1):
            at_x, at_y = apart * (a - 0.5 * b), height * b
            at_right, at_up = (cos_turn * at_x - sin_turn * at_y) * unit2, (cos_turn * at_y + sin_turn * at_x) * unit2
            vx = cx + at_right * rx + at_up * ux
            vy = cy + at_right * ry + at_up * uy
            vz = cz + at_right * rz + at_up * uz
            norm = 1.0 / math.sqrt(vx * vx + vy * vy + vz * vz)
            vx, vy, vz = vx * norm, vy * norm, vz * norm
            if (vx - here[0]) ** 2 + (vy - here[1]) ** 2 + (vz - here[2]) ** 2 > limit:
                continue
            if only or _owns(faces, f, (vx, vy, vz)):
                cells[count] = cell_of(grid.kinds, f, res, float(a), float(b))
                xyz[count, 0], xyz[count, 1], xyz[count, 2] = vx, vy, vz
                count += 1
    return count


@kernel
def _owns(faces: Floats, face: int, at: Vector) -> bool:
    """Whether no other face's centre is nearer; of faces equally near the first has the point."""
    mine = faces[face, 0, 0] * at[0] + faces[face, 0, 1] * at[1] + faces[face, 0, 2] * at[2]
    for f in range(FACES):
        other = faces[f, 0, 0] * at[0] + faces[f, 0, 1] * at[1] + faces[f, 0, 2] * at[2]
        if other > mine + _TIE or (f < face and other >= mine - _TIE):
            return False
    return True


@kernel
def cell_of(kinds: Cells, face: int, res: int, a: float, b: float) -> np.uint64:
    """The cell with its centre at point (a, b) of a face's lattice of *res*; `ASK` where only the library knows it."""
    digits, first, place = 0.0, 0.0, float(1 << 3 * (LEAF_RES - res))
    for finer in range(res, 0, -1):
        if finer % 2 == 1:
            a, b, digit = step_up(a, b, 3.0, -1.0, 1.0, 2.0)
        else:
            a, b, digit = step_up(a, b, 2.0, 1.0, -1.0, 3.0)
        digits += digit * place
        first = digit if digit > 0.0 else first
        place *= 8.0
    low = min(a, b, 0.0)
    if a - low > 2.0 or b - low > 2.0 or low < -2.0:
        return ASK
    at = 9.0 * (a - low) + 3.0 * (b - low) - low
    kind = kinds[np.int64((face * PLACES + at) * DIGITS + first)]
    if kind & _TURNS == UNKNOWN:
        return ASK
    leaf = _HEAD | kind | (turned(np.uint64(np.int64(digits)), kind & _TURNS) << np.uint64(LEAF_SHIFT))
    return ancestor(leaf, res)
