"""Tiles of polygons: squares of different sizes, each with the few edges that decide for its points. Kernels only.

A polygon's frame is a square (on the ground) a little larger than its box. Halved again and again it gives tiles;
`geo.tiling` lays them and says which edges each one lists. So a point is asked of a handful of edges, whatever the
number of vertices: which side it lies on, exactly as `geo.boundary.holds` says, and how deep.

Depths are distances as in `geo.boundary`, up to 5 % too large: where many edges are nearly the nearest, a few stand for
all of them.

Words of one polygon, i4, all places counted from its first word:
- 0: the root;
- a root, or a cell of a node, is `place << 3 | bits` of a node (a square of 2^bits by 2^bits cells, row after row from
  the south), or `~place` of a leaf;
- a leaf: `(edges << 15 | sides) << 1 | odd`, then that many edges. The first *sides* are all that meet the tile; *odd*
  is the parity of the others east of it;
- an edge: `vertex << 2 | flags`, its first vertex counted from the polygon's own. Flags `TURN_A` and `TURN_B`: north
  of the edge's first (last) vertex that parity is the other one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from geo.arrays import Floats, Ints, Longs, frozen
from geo.boundary import spans_east
from geo.kernels import constant, inlined, kernel
from geo.units import EARTH_RADIUS_M

DEPTH_MAX = constant(16)
"""A frame is halved at most so many times."""
TURN_A = constant(1)
TURN_B = constant(2)
FLAG_BITS = constant(2)
NODE_BITS = constant(3)
SIDE_BITS = constant(15)
_PARTS = 1 << 16
_SIDES = constant((1 << 15) - 1)
NODE = constant(7)
_RAD = math.pi / 180.0
_M_PER_DEG = EARTH_RADIUS_M * _RAD


class Tiles(NamedTuple):
    """Of F fences; of a circle nothing."""

    frame: Floats
    """f8[F, 4]: southern and western edge of the frame in degrees, frames a degree of latitude and of longitude."""
    tile_at: Longs
    """i8[F + 1, 2]: the fence's first word in `tile` and first vertex in `Outlines.vertex`; last row the totals."""
    tile: Ints
    """i4[...]: words."""


def tiles_joined(several: Sequence[Tiles]) -> Tiles:
    """The tiles of fences in order, whose outlines are joined in the same order."""
    totals = np.cumsum([np.zeros(2, np.int64), *(one.tile_at[-1] for one in several)], axis=0)
    places = [one.tile_at[:-1] + before for one, before in zip(several, totals, strict=False)]
    return Tiles(
        frozen(np.concatenate([np.empty((0, 4)), *(one.frame for one in several)]), np.float64),
        frozen(np.concatenate([*places, totals[-1:]]), np.int64),
        frozen(np.concatenate([np.empty(0, np.int32), *(one.tile for one in several)]), np.int32),
    )


@kernel
def held(vertex: Floats, tiles: Tiles, fence: int, lat: float, lng: float) -> bool:
    """Whether the polygon holds the point. vertex: `Outlines.vertex`."""
    leaf, first, lng = leaf_at(tiles.frame, tiles.tile_at, tiles.tile, fence, (lat, lng))
    return leaf >= 0 and leaf_holds(vertex, tiles.tile, (leaf, first), (lat, lng))


@kernel
def depth_m(vertex: Floats, tiles: Tiles, fence: int, lat: float, lng: float) -> float:
    """Metres to the outline, negative, of a point that the polygon holds; else infinity."""
    leaf, first, lng = leaf_at(tiles.frame, tiles.tile_at, tiles.tile, fence, (lat, lng))
    if leaf < 0 or not leaf_holds(vertex, tiles.tile, (leaf, first), (lat, lng)):
        return np.inf
    return -leaf_m(vertex, tiles.tile, (leaf, first), (lat, lng), math.cos(lat * _RAD))


@inlined
def leaf_at(frame: Floats, tile_at: Longs, tile: Ints, fence: int, here: tuple[float, float]) -> tuple[int, int, float]:
    """(place of the leaf around the point or -1, the polygon's first vertex, longitude in the polygon's turn)."""
    row, column, lng = square_of(frame, fence, here)
    first, shift = tile_at[fence, 0], DEPTH_MAX
    if row < 0:
        return -1, 0, lng
    word = np.int64(tile[first])
    while word >= 0:
        shift -= int(word & NODE)
        word = np.int64(tile[first + below(int(word), shift, row, column)])
    return first + ~word, tile_at[fence, 1], lng


@inlined
def square_of(frame: Floats, fence: int, here: tuple[float, float]) -> tuple[int, int, float]:
    """(row, column, longitude in the polygon's turn): which of the smallest tiles there could be the point is in; the
    row is -1 outside of the frame.
    """
    lat, lng = here
    y, x = (lat - frame[fence, 0]) * frame[fence, 2], (lng - frame[fence, 1]) * frame[fence, 3]
    if not 0.0 <= x < 1.0:
        lng += 360.0 if x < 0.0 else -360.0
        x = (lng - frame[fence, 1]) * frame[fence, 3]
    if not (0.0 <= y < 1.0 and 0.0 <= x < 1.0):
        return -1, 0, lng
    return int(np.int64(y * _PARTS)), int(np.int64(x * _PARTS)), lng


@inlined
def below(word: int, shift: int, row: int, column: int) -> int:
    """Where, counted from the polygon's first word, stands the word of that cell of a node which a smallest tile is in.
    shift: how often the node's cells can be halved.
    """
    bits = word & NODE
    last = (1 << bits) - 1
    return (word >> NODE_BITS) + ((row >> shift & last) << bits) + (column >> shift & last)


@kernel
def edges_of(head: np.int64) -> int:
    """How many edges the leaf with this head lists."""
    return int(head >> 1 + SIDE_BITS)


@inlined
def leaf_holds(vertex: Floats, tile: Ints, where: tuple[int, int], here: tuple[float, float]) -> bool:
    """Whether the polygon holds a point of the leaf. where, here: as `leaf_at` says."""
    leaf, first = where
    lat, lng = here
    head = np.int64(tile[leaf])
    odd = (head & 1) != 0
    for k in range(leaf + 1, leaf + 1 + (head >> 1 & _SIDES)):
        word = np.int64(tile[k])
        a = first + (word >> FLAG_BITS)
        lat_a, lat_b = vertex[a, 0], vertex[a + 1, 0]
        odd ^= ((word & TURN_A) != 0) & (lat_a <= lat)
        odd ^= ((word & TURN_B) != 0) & (lat_b <= lat)
        odd ^= spans_east(lat_a, vertex[a, 1], lat_b, vertex[a + 1, 1], lat, lng)
    return bool(odd)


@inlined
def leaf_m(vertex: Floats, tile: Ints, where: tuple[int, int], here: tuple[float, float], east: float) -> float:
    """Metres from a point inside to the nearest of the leaf's edges. where, here: likewise; east: cos(latitude)."""
    leaf, first = where
    lat, lng = here
    best = np.inf
    for k in range(leaf + 1, leaf + 1 + edges_of(np.int64(tile[leaf]))):
        a = first + (np.int64(tile[k]) >> FLAG_BITS)
        ay, ax = vertex[a, 0] - lat, (vertex[a, 1] - lng) * east
        dy, dx = vertex[a + 1, 0] - lat - ay, (vertex[a + 1, 1] - lng) * east - ax
        share = min(1.0, max(0.0, -(ay * dy + ax * dx) / (dy * dy + dx * dx)))  # no edge is without length
        y, x = ay + share * dy, ax + share * dx
        best = min(best, y * y + x * x)
    return _M_PER_DEG * math.sqrt(best)
