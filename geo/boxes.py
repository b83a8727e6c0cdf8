"""Boxes in space: the unit cube's halves, quarters, eighths, ..., in which unit vectors lie. Kernels only.

A box of level L has sides of 2^-L Earth radii. Multiplying by a power of two is exact, so a vector lies in its box by
the letter, a box contains its descendants, and there are no poles, no ±180° and no pentagons. About 1.5 boxes cover
the ground that one of their sides' squares has (1 where the ground lies along them, 1.73 where it lies across).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from geo.kernels import constant, kernel
from geo.units import EARTH_RADIUS_M

LEAF: Final = constant(16)
"""Level of the boxes that rows are kept by: 97 m."""
COARSER: Final = (14, 12, 10)
"""Levels at which rows are counted: 389 m, 1.6 km, 6.2 km."""
STEP: Final = constant(2)
NO_BOX: Final = np.uint64(0)

_BITS: Final = np.uint64(19)
_COORDINATE: Final = np.uint64((1 << 19) - 1)
_SLACK: Final = 1.0 + 1e-9
"""A distance goes through a square root and an arc sine and back: wrong by 1e-15, and by no means 1e-9."""
_SHELL: Final = 1e-9
"""Unit vectors are wrong by 1e-16."""


@kernel
def box_of(here: tuple[float, float, float], level: int) -> np.uint64:
    """The box of a unit vector; NaN gives `NO_BOX`."""
    if math.isnan(here[0]):
        return NO_BOX
    return packed(level, along(here[0], level), along(here[1], level), along(here[2], level))


@kernel
def along(coordinate: float, level: int) -> int:
    """Number of the box on one axis, 0 to 2 · 2^level; *coordinate* may lie outside the cube."""
    last = 2 << level
    return int(min(max(math.floor(coordinate * (1 << level)) + (1 << level), 0), last))


@kernel
def packed(level: int, i: int, j: int, k: int) -> np.uint64:
    """Box (i, j, k) of a level as one number, never `NO_BOX`."""
    return np.uint64((((np.uint64(level) << _BITS | np.uint64(i)) << _BITS | np.uint64(j)) << _BITS) | np.uint64(k))


@kernel
def unpacked(box: np.uint64) -> tuple[int, int, int, int]:
    """(level, i, j, k) of a box."""
    return (
        int(np.int64(box >> np.uint64(57))),  # numba's int() alone keeps it unsigned: a difference would be a float
        int(np.int64((box >> np.uint64(38)) & _COORDINATE)),
        int(np.int64((box >> np.uint64(19)) & _COORDINATE)),
        int(np.int64(box & _COORDINATE)),
    )


@kernel
def around(box: np.uint64, level: int) -> np.uint64:
    """The box of a coarser level that contains this one."""
    finer, i, j, k = unpacked(box)
    up = finer - level
    return packed(level, i >> up, j >> up, k >> up)


@kernel
def scattered(box: np.uint64) -> np.uint64:
    """A number each of whose bits depends on all of the box's (Stafford's mix 13, the finaliser of SplitMix64)."""
    mixed = (box ^ (box >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.uint64(mixed ^ (mixed >> np.uint64(31)))


@kernel
def side_m(level: int) -> float:
    """A box's side in metres."""
    return EARTH_RADIUS_M / (1 << level)


@kernel
def square_of(distance_m: float) -> float:
    """Square of the chord of an arc, a little more than `arc_m` would turn into *distance_m*; inf: of half round."""
    half = min(0.5 * distance_m / EARTH_RADIUS_M, 0.5 * math.pi)
    return 4.0 * math.sin(half) ** 2 * _SLACK


@kernel
def reaches(box: np.uint64, here: tuple[float, float, float], limit: float) -> bool:
    """Whether the box may hold a unit vector whose difference from *here* has a square of at most *limit*.

    The gap to the box is measured by the same sum of squares of rounded differences as the gap to a point, which
    rounding keeps in order: no box is farther than a point in it.
    """
    level, i, j, k = unpacked(box)
    side, off = 1.0 / (1 << level), 1 << level
    gap, nearest, farthest = 0.0, 0.0, 0.0
    for axis in range(3):
        low = ((i if axis == 0 else j if axis == 1 else k) - off) * side
        high = low + side
        away = max(low - here[axis], here[axis] - high, 0.0)
        gap += away * away
        inner = max(low, -high, 0.0)
        outer = max(-low, high)
        nearest += inner * inner
        farthest += outer * outer
    return gap <= limit and nearest <= 1.0 + _SHELL and farthest >= 1.0 - _SHELL
