"""What is known of a block of points on its way through the index. Kernels only."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from geo.arrays import Cells, Floats, Ints, Longs
from geo.kernels import allocating, kernel
from geo.postings import RUNS, UPPER

BLOCK: Final = 256
CANDIDATES: Final = 1024
"""So many are judged at a time."""
_RUNS: Final = RUNS * len(UPPER)


class Points(NamedTuple):
    """n points ready for kernels."""

    lat: Floats
    lng: Floats
    unit: Floats
    """f8[n, 3]: unit vectors."""
    cell: Cells
    """u8[n]: leaves, `NO_CELL` for points that are not valid."""
    order: Ints
    """i4[n]: the order to take them in: near ones together."""


class Sifted(NamedTuple):
    """What is known of a block's points, of the runs of postings they have to do with, and of candidates there."""

    which: Ints
    """i4[BLOCK]: the points."""
    xyz: Floats
    """f8[3, BLOCK]: unit vectors."""
    cell: Cells
    """u8[BLOCK]: leaves."""
    node: Longs
    """i8[3, BLOCK]: places of their nodes, for each of `Lookup.upper`."""
    run: Ints
    """i4[3, _RUNS * BLOCK]: of each run that is not empty the place of the point in the block, first and end."""
    candidate: Ints
    """i4[2, CANDIDATES]: place of the point in the block, posting."""
    square: Floats
    """f8[2, CANDIDATES]: square of the chord to the fence's middle, and `FenceIndex.centre`'s limit of it."""
    edge_m: Floats
    """f8[CANDIDATES]: infinity for a polygon that does not hold the point."""
    polygon: Longs
    """i8[6, CANDIDATES]: of each candidate that is one, and has the point in its frame, its place among them, first
    word, first vertex, word reached and then the leaf, how often a tile there can be halved (`geo.tiles`); and which of
    these have farther to go.
    """
    tile: Longs
    """i8[2, CANDIDATES]: of the same the row and the column of the smallest tile there could be."""
    lng: Floats
    """f8[CANDIDATES]: of the same the longitude in the polygon's turn."""


@allocating
def room_for(points: int) -> Sifted:
    """An empty record for blocks of that many points."""
    return Sifted(
        np.empty(points, np.int32),
        np.empty((3, points), np.float64),
        np.empty(points, np.uint64),
        np.empty((len(UPPER), points), np.int64),
        np.empty((3, _RUNS * points + 1), np.int32),
        np.empty((2, CANDIDATES + 1), np.int32),
        np.empty((2, CANDIDATES + 1), np.float64),
        np.empty(CANDIDATES + 1, np.float64),
        np.empty((6, CANDIDATES + 1), np.int64),
        np.empty((2, CANDIDATES + 1), np.int64),
        np.empty(CANDIDATES + 1, np.float64),
    )


@kernel
def rank_of(posting: np.int32) -> np.uint64:
    """r of r or ~r."""
    return np.uint64(posting ^ (posting >> 31))
