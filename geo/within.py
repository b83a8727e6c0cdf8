"""The rows within a distance of a point: down from coarse boxes to leaves, past the empty ones. Kernels only."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from geo.arrays import Cells, Floats, Ints, Records
from geo.boxes import COARSER, LEAF, NO_BOX, STEP, along, around, box_of, packed, reaches, side_m, square_of, unpacked
from geo.chains import Chains, crowd_in, first_row
from geo.kernels import allocating, constant, kernel
from geo.records import NOBODY
from geo.sphere import arc_m, unit
from geo.units import EARTH_RADIUS_M
from geo.visits import roomy

_FIRST: Final = constant(0)
_CHILDREN: Final = 1 << 3 * STEP
_M_PER_DEG: Final = EARTH_RADIUS_M * math.pi / 180.0
_ROUGH_M: Final = 1.0
_LEAST_BUDGET: Final = 4_096
"""Boxes looked at before all rows are, however few: some tens of microseconds."""
_AREA: Final = 1.0 / 1.5
_AGAIN: Final = 2.0
_FAR_M: Final = 10_000.0


class Disc(NamedTuple):
    """All points at most *radius_m* from the unit vector *here*, which has latitude *lat*."""

    lat: float
    here: tuple[float, float, float]
    radius_m: float


class Found(NamedTuple):
    """Rows in no particular order, with their distances."""

    row: Ints
    distance_m: Floats


@allocating
def within(chains: Chains, customers: Records, lat: float, lng: float, radius_m: float) -> Found:
    """The rows at most *radius_m* from a point, exactly; inf: all."""
    disc = Disc(lat, unit(lat, lng), radius_m)
    leaves, count = _leaves(chains, disc)
    if count < 0:
        return _measured(customers, _everybody(chains), disc)
    return _measured(customers, _in_leaves(chains, leaves[:count]), disc)


@kernel
def first_radius_m(chains: Chains, lat: float, lng: float, k: int) -> float:
    """A radius that may hold *k* rows around a point: twice as many, if people spread evenly in the finest box around
    it that has *k* of them.
    """
    leaf = box_of(unit(lat, lng), LEAF)
    for level in COARSER:
        count = crowd_in(chains, around(leaf, level))
        if count >= k:
            return side_m(level) * math.sqrt(_AGAIN * _AREA * k / (math.pi * count))
    return _FAR_M


@allocating
def _leaves(chains: Chains, disc: Disc) -> tuple[Cells, int]:
    """(boxes u8[], how many): the leaves that reach into the disc, except some where nobody is; -1 if it takes more
    looking at boxes than there are rows to look at.
    """
    boxes = np.empty(256, np.uint64)
    limit, budget = square_of(disc.radius_m), max(len(chains.links), _LEAST_BUDGET)
    top = _FIRST
    while top < len(COARSER) - 1 and side_m(COARSER[top]) < disc.radius_m:
        top += 1
    reach = math.sqrt(limit)
    if not (2.0 * reach * (1 << COARSER[top]) + 2.0) ** 3 <= budget:
        return boxes, -1
    boxes, count = _first_boxes(disc, COARSER[top], reach, limit, boxes)
    for _ in range(top + 1):
        finer, more = np.empty(256, np.uint64), _FIRST
        for b in range(count):
            if crowd_in(chains, boxes[b]) == 0:
                continue
            budget -= _CHILDREN
            if budget < 0:
                return boxes, -1
            finer = roomy(finer, more + _CHILDREN)
            more = _children(boxes[b], disc, limit, finer, more)
        boxes, count = finer, more
    return boxes, count


@allocating
def _first_boxes(disc: Disc, level: int, reach: float, limit: float, boxes: Cells) -> tuple[Cells, int]:
    """(boxes, or a longer array; how many): the boxes of a level that reach into the disc."""
    x, y, z = disc.here
    count = 0
    for i in range(along(x - reach, level), along(x + reach, level) + 1):
        for j in range(along(y - reach, level), along(y + reach, level) + 1):
            for k in range(along(z - reach, level), along(z + reach, level) + 1):
                box = packed(level, i, j, k)
                if reaches(box, disc.here, limit):
                    boxes = roomy(boxes, count + 1)
                    boxes[count] = box
                    count += 1
    return boxes, count


@kernel
def _children(box: np.uint64, disc: Disc, limit: float, finer: Cells, count: int) -> int:
    """Write the boxes of the next finer level within *box* that reach into the disc behind the first *count*; how many
    there are then.
    """
    level, i, j, k = unpacked(box)
    for nth in range(_CHILDREN):
        child = packed(
            level + STEP,
            i << STEP | nth >> 2 * STEP,
            j << STEP | (nth >> STEP) & ((1 << STEP) - 1),
            k << STEP | nth & ((1 << STEP) - 1),
        )
        if reaches(child, disc.here, limit):
            finer[count] = child
            count += 1
    return count


@allocating
def _in_leaves(chains: Chains, leaves: Cells) -> Ints:
    """i4[n]: the rows of some leaves."""
    rows, count = np.empty(1024, np.int32), 0
    for leaf in leaves:
        row = first_row(chains, leaf)
        while row != NOBODY:
            link = chains.links[row]
            if link["box"] == leaf:
                if count == len(rows):
                    rows = roomy(rows, count + 1)
                rows[count] = row
                count += 1
            row = link["next"]
    return rows[:count]


@allocating
def _everybody(chains: Chains) -> Ints:
    """i4[n]: all rows that have a position."""
    rows, count = np.empty(len(chains.links), np.int32), 0
    for row in range(len(chains.links)):
        if chains.links[row]["box"] != NO_BOX:
            rows[count] = row
            count += 1
    return rows[:count]


@allocating
def _measured(customers: Records, rows: Ints, disc: Disc) -> Found:
    """Those of the rows that are in the disc. The difference of latitudes alone sorts many strangers out."""
    found, size = Found(np.empty(len(rows), np.int32), np.empty(len(rows), np.float64)), 0
    for row in rows:
        customer = customers[row]
        if abs(customer["lat"] - disc.lat) * _M_PER_DEG > disc.radius_m + _ROUGH_M:
            continue
        x, y, z = unit(customer["lat"], customer["lng"])
        dx, dy, dz = disc.here[0] - x, disc.here[1] - y, disc.here[2] - z
        distance_m = arc_m(dx * dx + dy * dy + dz * dz)
        if distance_m <= disc.radius_m:
            found.row[size], found.distance_m[size] = row, distance_m
            size += 1
    return Found(found.row[:size], found.distance_m[:size])
