"""Walking a tree of boxes for the nearest points, nearer half first. Kernels only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geo.arrays import Flags, Floats, Ints
from geo.boxes import square_of
from geo.kernels import allocating, constant, kernel
from geo.sphere import arc_m, unit

_FIRST = constant(0)
_HEIGHT_MAX = 32


class TreeArrays(NamedTuple):
    """What kernels see of a `StoreIndex`; meanings as there."""

    order: Ints
    xyz: Floats
    box: Floats


class Question(NamedTuple):
    """Where from, how far at most (inf: anywhere), and which of the points, by position."""

    lat: float
    lng: float
    most_m: float
    admitted: Flags


class Ranking(NamedTuple):
    """The best so far: a heap with the worst of them, the last in (distance_m, position), on top."""

    position: Ints
    distance_m: Floats


@allocating
def units_of(lat: Floats, lng: Floats) -> Floats:
    """f8[n, 3]: `unit` of each position, by the same sine and cosine that a question uses."""
    xyz = np.empty((len(lat), 3), np.float64)
    for i in range(len(lat)):
        xyz[i, 0], xyz[i, 1], xyz[i, 2] = unit(lat[i], lng[i])
    return xyz


@allocating
def ask(tree: TreeArrays, question: Question, best: Ranking) -> int:
    """Fill *best* with the len(best.position) nearest admitted points; how many there are.

    A box is passed over if its nearest point is farther than the limit: *most_m*, or once *best* is full the worst in
    it. Box and points are measured by the same sums of squares of rounded differences, which rounding keeps in order,
    so no box is farther than a point in it.
    """
    count = _FIRST
    if len(best.position) == 0:
        return count
    here = unit(question.lat, question.lng)
    limit = square_of(question.most_m)
    waiting, away = np.empty(_HEIGHT_MAX, np.int64), np.empty(_HEIGHT_MAX, np.float64)
    waiting[0], away[0], height = 0, _gap(tree.box, _FIRST, here), 1
    first_of_last = len(tree.box) // 2
    while height > 0:
        height -= 1
        node = waiting[height]
        if away[height] > limit:
            continue
        if node >= first_of_last:
            j, stores, nodes = node - first_of_last, len(tree.order), first_of_last + 1
            for at in range(j * stores // nodes, (j + 1) * stores // nodes):
                count = _look(tree, at, question, here, best, count)
            if count == len(best.position):
                limit = square_of(best.distance_m[0])
            continue
        left, right = 2 * node + 1, 2 * node + 2
        left_away, right_away = _gap(tree.box, left, here), _gap(tree.box, right, here)
        if left_away < right_away:
            left, right, left_away, right_away = right, left, right_away, left_away
        waiting[height], away[height] = left, left_away
        waiting[height + 1], away[height + 1] = right, right_away
        height += 2
    return count


@kernel
def _look(
    tree: TreeArrays, at: int, question: Question, here: tuple[float, float, float], best: Ranking, count: int
) -> int:
    """Rank the point at this place of the tree's order, if it is admitted; the new count."""
    position = tree.order[at]
    if not question.admitted[position]:
        return count
    dx, dy, dz = here[0] - tree.xyz[at, 0], here[1] - tree.xyz[at, 1], here[2] - tree.xyz[at, 2]
    distance_m = arc_m(dx * dx + dy * dy + dz * dz)
    return _rank(best, count, position, distance_m) if distance_m <= question.most_m else count


@kernel
def _gap(box: Floats, node: int, here: tuple[float, float, float]) -> float:
    """Square of the distance from the point to the nearest point of the box, 0 inside."""
    dx = max(box[node, 0] - here[0], here[0] - box[node, 3], 0.0)
    dy = max(box[node, 1] - here[1], here[1] - box[node, 4], 0.0)
    dz = max(box[node, 2] - here[2], here[2] - box[node, 5], 0.0)
    gap: float = dx * dx + dy * dy + dz * dz
    return gap


@kernel
def _after(best: Ranking, at: int, position: int, distance_m: float) -> bool:
    """Whether the entry *at* comes after the given one."""
    if best.distance_m[at] != distance_m:
        return bool(best.distance_m[at] > distance_m)
    return bool(best.position[at] > position)


@kernel
def _rank(best: Ranking, count: int, position: int, distance_m: float) -> int:
    """Put one more into the heap of *count* entries, in place of the worst when it is full; the new count."""
    room = len(best.position)
    if count < room:
        at = count
        while at > 0 and not _after(best, (at - 1) // 2, position, distance_m):
            best.position[at], best.distance_m[at] = best.position[(at - 1) // 2], best.distance_m[(at - 1) // 2]
            at = (at - 1) // 2
        best.position[at], best.distance_m[at] = position, distance_m
        return count + 1
    if not _after(best, _FIRST, position, distance_m):
        return count
    at = 0
    while 2 * at + 1 < count:
        child = 2 * at + 1
        if child + 1 < count and _after(best, child + 1, best.position[child], best.distance_m[child]):
            child += 1
        if not _after(best, child, position, distance_m):
            break
        best.position[at], best.distance_m[at] = best.position[child], best.distance_m[child]
        at = child
    best.position[at], best.distance_m[at] = position, distance_m
    return count
