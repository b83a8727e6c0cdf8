"""Whether a ring surely does not touch or cross itself. Kernel only; a doubt is for the library that knows polygons."""

from __future__ import annotations

from typing import Final

from geo.arrays import Floats
from geo.kernels import kernel

VERTICES_MAX: Final = 200
"""Of a ring worth asking about: all pairs of edges are compared."""
_ROUNDING: Final = 1e-15
"""Of a 2 x 2 determinant of differences, relative to the sum of its products' sizes (Shewchuk 1997 has 3.4e-16)."""

_TINY: Final = 1e-300
"""Below, products lose their digits."""


@kernel
def surely_simple(ring: Floats) -> bool:
    """ring: f8[n + 1, 2], closed, no vertex twice in a row."""
    edges = len(ring) - 1
    for i in range(edges):
        following = i + 1 if i + 1 < edges else 0
        if _folds(ring, i, following):
            return False
        for j in range(i + 2, edges):
            if (i > 0 or j + 1 < edges) and not _apart(ring, i, j):
                return False
    return True


@kernel
def _folds(ring: Floats, i: int, following: int) -> bool:
    """Whether edge *following* may run back over the one before it."""
    ahead = (ring[i + 1, 0] - ring[i, 0]) * (ring[following + 1, 0] - ring[following, 0]) + (
        ring[i + 1, 1] - ring[i, 1]
    ) * (ring[following + 1, 1] - ring[following, 1])
    return ahead <= 0.0 and _side(ring, i, following + 1) == 0


@kernel
def _apart(ring: Floats, i: int, j: int) -> bool:
    """Whether edges i and j surely have no point in common: their boxes have none, or one lies beside the other."""
    for axis in range(2):
        if max(ring[i, axis], ring[i + 1, axis]) < min(ring[j, axis], ring[j + 1, axis]):
            return True
        if min(ring[i, axis], ring[i + 1, axis]) > max(ring[j, axis], ring[j + 1, axis]):
            return True
    return _side(ring, i, j) * _side(ring, i, j + 1) > 0 or _side(ring, j, i) * _side(ring, j, i + 1) > 0


@kernel
def _side(ring: Floats, i: int, k: int) -> int:
    """On which side of the line through edge i vertex k surely lies, 1 or -1; 0: perhaps on it."""
    one = (ring[i + 1, 0] - ring[i, 0]) * (ring[k, 1] - ring[i, 1])
    other = (ring[i + 1, 1] - ring[i, 1]) * (ring[k, 0] - ring[i, 0])
    if abs(one - other) <= _ROUNDING * (abs(one) + abs(other)) + _TINY:
        return 0
    return 1 if one > other else -1
