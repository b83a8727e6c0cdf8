"""Edges in groups of two, four, eight, ... in their order, each with a ball around them. Kernels only.

Level 0 are the edges themselves, the last level is one group of all. A ball's centre lies on the outline.
"""

from __future__ import annotations

import math

import numpy as np

from geo.arrays import Floats, Ints
from geo.kernels import allocating, inlined


@inlined
def width(count: int, level: int) -> int:
    """Number of groups on a level over that many edges."""
    return (count + (1 << level) - 1) >> level


@inlined
def top_level(count: int) -> int:
    level = 0
    while width(count, level) > 1:
        level += 1
    return level


@inlined
def middle_of(count: int, level: int, place: int) -> int:
    """The edge, counted in order, at whose beginning the group's ball is centred."""
    start = place << level
    return (start + min(count, start + (1 << level))) >> 1


@inlined
def onwards(count: int, level: int, place: int, start: int) -> tuple[int, int, int]:
    """(level, place in it, groups below it) after the group at (level, place), depth first; level -1 at the end."""
    while place & 1 or place + 1 == width(count, level):
        if width(count, level) == 1:
            return -1, 0, 0
        start += width(count, level)
        level, place = level + 1, place >> 1
    return level, place + 1, start


@allocating
def balls(spot: Floats, edge: Ints, wide: float) -> Floats:
    """f8[..., 3]: (y, x) of the centre and radius, level after level. spot: (y, x) of vertices; a step along x is at
    most *wide* as long as one along y.
    """
    count, last = len(edge), top_level(len(edge))
    total = 0
    for level in range(last + 1):
        total += width(count, level)
    ball, at = np.empty((total, 3)), 0
    for level in range(last + 1):
        for place in range(width(count, level)):
            y, x = spot[edge[middle_of(count, level, place)]]
            square = 0.0
            for k in range(place << level, min(count, (place + 1) << level)):
                for v in range(edge[k], edge[k] + 2):
                    square = max(square, (spot[v, 0] - y) ** 2 + ((spot[v, 1] - x) * wide) ** 2)
            ball[at, 0], ball[at, 1], ball[at, 2] = y, x, math.sqrt(square)
            at += 1
    return ball
