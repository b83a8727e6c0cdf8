"""Outlines of polygons as arrays: chains of edges with their boxes, and boxes of boxes above them.

A chain is up to EDGES consecutive edges of one ring. Level 0 of a fence's tree are the boxes of its chains, in
order along the rings; a box of level k + 1 holds the FAN boxes below it; the last is the box of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from geo.arrays import Floats, Ints, frozen
from geo.kernels import constant
from geo.rings import Parts

EDGES = 8
FAN = 8
CIRCLE = constant(-1)
SURE = constant(-2)
"""In place of a row of `Rims`: the fence is a circle, the cell is an inside cell of a polygon."""


class Outlines(NamedTuple):
    """Of F fences; a circle has no chains. Longitudes are unwrapped (`geo.rings`)."""

    vertex: Floats
    """f8[V, 2]: (lat, lng) in degrees, rings closed, one after the other."""
    chain: Ints
    """i4[C, 2]: first and last vertex of each chain."""
    chain_ptr: Ints
    """i4[F + 1]: chains of fence f are [chain_ptr[f], chain_ptr[f + 1])."""
    box: Floats
    """f8[B, 4]: south, west, north, east in degrees, level after level."""
    box_ptr: Ints
    """i4[F + 1]: boxes of fence f."""


class Rims(NamedTuple):
    """What decides in R edge cells of polygons."""

    near_ptr: Ints
    """i4[R + 1]: chains that pass near the points of rim cell r are near[near_ptr[r]:near_ptr[r + 1]]."""
    near: Ints
    """i4[...]: chains."""
    turn_ptr: Ints
    """i4[R + 1]: turns of rim cell r."""
    turn_deg: Floats
    """f8[...]: latitudes; north of each the number of far edges to the east becomes odd if it was even, and
    the other way round.
    """


class Traced(NamedTuple):
    """One polygon: its vertices, chains and boxes as in `Outlines`, counted from 0."""

    vertex: Floats
    chain: Ints
    box: Floats
    following: Ints
    """i4[C]: the chain that begins where this one ends."""


def traced(parts: Parts) -> Traced:
    """The arrays of one polygon."""
    rings = [ring for rings in parts for ring in rings]
    chains: list[tuple[int, int]] = []
    following: list[int] = []
    start = 0
    for ring in rings:
        end, first = start + len(ring) - 1, len(chains)
        chains += [(at, min(at + EDGES, end)) for at in range(start, end, EDGES)]
        following += [*range(first + 1, len(chains)), first]
        start = end + 1
    vertex = frozen(np.concatenate(rings), np.float64)
    chain = frozen(chains, np.int32)
    return Traced(vertex, chain, frozen(_boxes(vertex, chain), np.float64), frozen(following, np.int32))


def _boxes(vertex: Floats, chain: Ints) -> Floats:
    # Neighbours share a vertex, which reduceat would give to the later one only: hence the ends once more.
    ends = vertex[chain[:, 1]]
    low = np.minimum(np.minimum.reduceat(vertex, chain[:, 0]), ends)
    high = np.maximum(np.maximum.reduceat(vertex, chain[:, 0]), ends)
    levels = [np.concatenate([low, high], axis=1)]
    while len(levels[-1]) > 1:
        starts = np.arange(0, len(levels[-1]), FAN)
        low = np.minimum.reduceat(levels[-1][:, :2], starts)
        high = np.maximum.reduceat(levels[-1][:, 2:], starts)
        levels.append(np.concatenate([low, high], axis=1))
    return np.concatenate(levels)


def joined(each: Sequence[Traced | None]) -> dict[str, Any]:
    """The arrays of `Outlines`, of fences in order; None is a circle."""
    drawn = [one for one in each if one is not None]
    vertex_starts = np.cumsum([0, *(len(one.vertex) for one in drawn)])
    chains = [one.chain + start for one, start in zip(drawn, vertex_starts, strict=False)]
    return {
        "vertex": np.concatenate([np.empty((0, 2)), *(one.vertex for one in drawn)]),
        "chain": np.concatenate([np.empty((0, 2), np.int32), *chains]).astype(np.int32),
        "chain_ptr": _ends([0 if one is None else len(one.chain) for one in each]),
        "box": np.concatenate([np.empty((0, 4)), *(one.box for one in drawn)]),
        "box_ptr": _ends([0 if one is None else len(one.box) for one in each]),
    }


def _ends(counts: Sequence[int]) -> Any:
    return np.cumsum([0, *counts]).astype(np.int32)
