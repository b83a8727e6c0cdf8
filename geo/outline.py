"""Outlines of polygons as arrays: chains of edges with their boxes, and boxes of boxes above them.

A chain is up to EDGES consecutive edges of one ring. Level 0 of a fence's tree are the boxes of its chains, in
order along the rings; a box of level k + 1 holds the FAN boxes below it; the last is the box of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from geo.arrays import Floats, Ints, frozen
from geo.kernels import allocating, constant, kernel
from geo.rings import Rings, ends

EDGES = 8
FAN = 8
_FAN = constant(FAN)


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


def outlines_of(rings: Rings) -> Outlines:
    """Their outlines."""
    chain, chain_ptr, box, box_ptr = _traced(rings)
    each = (frozen(chain, np.int32), frozen(chain_ptr, np.int32), frozen(box, np.float64), frozen(box_ptr, np.int32))
    return Outlines(rings.vertex, *each)


def joined(several: Sequence[Outlines]) -> Outlines:
    """The outlines of all, in order."""
    starts = np.cumsum([0, *(len(one.vertex) for one in several)])
    chains = [one.chain + start for one, start in zip(several, starts, strict=False)]
    return Outlines(
        np.concatenate([np.empty((0, 2)), *(one.vertex for one in several)]),
        np.concatenate([np.empty((0, 2), np.int32), *chains]).astype(np.int32),
        ends(np.concatenate([np.empty(0, np.int32), *(np.diff(one.chain_ptr) for one in several)])),
        np.concatenate([np.empty((0, 4)), *(one.box for one in several)]),
        ends(np.concatenate([np.empty(0, np.int32), *(np.diff(one.box_ptr) for one in several)])),
    )


@allocating
def _traced(rings: Rings) -> tuple[Ints, Ints, Floats, Ints]:
    """(chain, chain_ptr, box, box_ptr) as in `Outlines`."""
    fences = len(rings.fence_ptr) - 1
    chain_ptr, box_ptr = np.zeros(fences + 1, np.int32), np.zeros(fences + 1, np.int32)
    for f in range(fences):
        chains = 0
        for r in range(rings.fence_ptr[f], rings.fence_ptr[f + 1]):
            chains += (rings.ring_ptr[r + 1] - rings.ring_ptr[r] + EDGES - 2) // EDGES
        chain_ptr[f + 1], box_ptr[f + 1] = chain_ptr[f] + chains, box_ptr[f] + _boxes(chains)
    chain, box = np.empty((chain_ptr[fences], 2), np.int32), np.empty((box_ptr[fences], 4))
    for f in range(fences):
        at = chain_ptr[f]
        for r in range(rings.fence_ptr[f], rings.fence_ptr[f + 1]):
            last = rings.ring_ptr[r + 1] - 1
            for first in range(rings.ring_ptr[r], last, EDGES):
                chain[at, 0], chain[at, 1] = first, min(first + EDGES, last)
                at += 1
        _box(rings.vertex, chain, (chain_ptr[f], chain_ptr[f + 1]), box, box_ptr[f])
    return chain, chain_ptr, box, box_ptr


@kernel
def _boxes(chains: int) -> int:
    """Number of boxes of all levels over that many chains."""
    total = chains
    while chains > 1:
        chains = (chains + _FAN - 1) // _FAN
        total += chains
    return total


@kernel
def _box(vertex: Floats, chain: Ints, span: tuple[int, int], box: Floats, first: int) -> None:
    """Write the boxes of one fence from *first* on."""
    at = first
    for c in range(span[0], span[1]):
        _empty(box, at)
        for k in range(chain[c, 0], chain[c, 1] + 1):
            _widen(box, at, (vertex[k, 0], vertex[k, 1], vertex[k, 0], vertex[k, 1]))
        at += 1
    below, count = first, span[1] - span[0]
    while count > 1:
        for k in range(count):
            if k % _FAN == 0:
                _empty(box, at + k // _FAN)
            _widen(box, at + k // _FAN, (box[below + k, 0], box[below + k, 1], box[below + k, 2], box[below + k, 3]))
        below, count = at, (count + _FAN - 1) // _FAN
        at += count


@kernel
def _empty(box: Floats, b: int) -> None:
    box[b, 0] = box[b, 1] = np.inf
    box[b, 2] = box[b, 3] = -np.inf


@kernel
def _widen(box: Floats, b: int, by: tuple[float, float, float, float]) -> None:
    """Make box b hold another one."""
    box[b, 0], box[b, 1] = min(box[b, 0], by[0]), min(box[b, 1], by[1])
    box[b, 2], box[b, 3] = max(box[b, 2], by[2]), max(box[b, 3], by[3])
