"""The k nearest stores of those that a question admits.

A k-d tree over unit vectors, in arrays. A tree of boxes knows no poles, no ±180° and no pentagons, needs neither
neighbours nor h3 for a question, and its stop rule is one comparison: a box no point of which is near enough holds no
answer. Rings of cells would need a measured lower bound for each ring, and many rings where stores are few or the mask
leaves few; here the worst case, a mask that leaves nothing, costs one look at each store.

Every level halves all its nodes in the middle: node j of level d holds the stores [j S >> d, (j + 1) S >> d) in the
tree's order, so the arrays need no pointers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from geo.arrays import Flags, Floats, Ints, Longs, frozen
from geo.errors import GeoError, PositionError, QueryError
from geo.position import check_position, valid
from geo.tree import Question, Ranking, TreeArrays, ask, units_of

_BUCKET = 8
"""Stores in a node of the last level, at most."""

_DTYPES = {
    "store": np.int64,
    "lat": np.float64,
    "lng": np.float64,
    "order": np.int32,
    "xyz": np.float64,
    "box": np.float64,
}


class Nearest(NamedTuple):
    """m answers in ascending (distance_m, store id)."""

    position: Ints
    """i4[m]: positions of the stores in the index."""
    distance_m: Floats
    """f8[m]: great-circle distances."""


@dataclass(frozen=True, eq=False)
class StoreIndex:
    """S stores, each known by its position 0..S-1. All arrays are read-only. Order-independent: the same stores in
    any order give the same arrays, byte for byte.
    """

    store: Longs
    """i8[S]: ids, ascending."""
    lat: Floats
    """f8[S]: degrees."""
    lng: Floats
    """f8[S]: degrees."""
    order: Ints
    """i4[S]: positions in the tree's order."""
    xyz: Floats
    """f8[S, 3]: unit vectors in the tree's order."""
    box: Floats
    """f8[2^(depth + 1) - 1, 6]: least and greatest x, y, z of each node, level by level."""

    def __len__(self) -> int:
        return len(self.store)

    @classmethod
    def build(cls, store: Longs, lat: Floats, lng: Floats) -> StoreIndex:
        """Compile stores given as arrays of one length; 100,000 of them take some tenths of a second.

        Raises `PositionError` for a position that is not `valid`, `GeoError` for a repeated id or unequal lengths.
        """
        store, lat, lng = np.asarray(store, np.int64), np.asarray(lat, np.float64), np.asarray(lng, np.float64)
        if not len(store) == len(lat) == len(lng):
            raise GeoError(f"{len(store)} stores have {len(lat)} latitudes and {len(lng)} longitudes")
        if (wrong := np.flatnonzero(~valid(lat, lng))).size:
            raise PositionError(f"the position of store {store[wrong[0]]} is not finite or out of range")
        by_id = np.argsort(store, kind="stable")
        store, lat, lng = store[by_id], lat[by_id], lng[by_id]
        if (repeated := store[1:][store[1:] == store[:-1]]).size:
            raise GeoError(f"two stores carry the id {repeated[0]}")
        xyz = units_of(frozen(lat, np.float64), frozen(lng, np.float64))
        order, box = _tree(xyz)
        plain = {"store": store, "lat": lat, "lng": lng, "order": order, "xyz": xyz[order], "box": box}
        return cls.from_arrays(plain)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> StoreIndex:
        """The index of `arrays()`; shares the memory of what it is given, memory-mapped or not. Raises `GeoError` on
        a missing name.
        """
        if missing := sorted(_DTYPES.keys() - arrays.keys()):
            raise GeoError(f"an index of stores lacks the array {missing[0]}")
        return cls(**{name: frozen(arrays[name], dtype) for name, dtype in _DTYPES.items()})

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Name → array, for the snapshot; `from_arrays` takes them back."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def everyone(self) -> Flags:
        """bool[S]: the mask that admits every store."""
        return frozen(np.ones(len(self), np.bool_), np.bool_)

    @cached_property
    def kernel_view(self) -> TreeArrays:
        """The one place where the record is unpacked for kernels."""
        return TreeArrays(self.order, self.xyz, self.box)


def nearest(
    index: StoreIndex, lat: float, lng: float, k: int, mask: Flags | None = None, most_m: float = math.inf
) -> Nearest:
    """The at most *k* nearest stores no farther than *most_m*, of those whose bool[S] in *mask* (by position; None:
    all) is set. Exact; some microseconds.

    Raises `PositionError` for an impossible position, `QueryError` for k < 1, a *most_m* that is NaN or not positive,
    and a mask of another length.
    """
    check_position(lat, lng)
    if k < 1:
        raise QueryError(f"{k} stores were asked for: at least one")
    if not most_m > 0.0:
        raise QueryError(f"a distance of at most {most_m} m holds no store: it must be positive")
    admitted = index.everyone if mask is None else frozen(mask, np.bool_)
    if admitted.shape != index.store.shape:
        raise QueryError(f"a mask of shape {admitted.shape} does not fit {len(index)} stores")
    room = min(k, len(index))
    best = Ranking(np.empty(room, np.int32), np.empty(room, np.float64))
    found = ask(index.kernel_view, Question(float(lat), float(lng), float(most_m), admitted), best)
    position, distance_m = best.position[:found], best.distance_m[:found]
    order = np.lexsort((position, distance_m))
    return Nearest(position[order], distance_m[order])


def _tree(xyz: Floats) -> tuple[Ints, Floats]:
    """(order i4[S], box f8[nodes, 6]) of unit vectors in ascending order of id; nodes split their longest side, equal
    coordinates by id.
    """
    count = len(xyz)
    order = np.arange(count)
    if count == 0:
        return order.astype(np.int32), np.zeros((1, 6))
    depth = max(0, math.ceil(math.log2(count / _BUCKET)))
    boxes = []
    for level in range(depth + 1):
        bounds = (np.arange((1 << level) + 1) * count) >> level
        points = xyz[order]
        least = np.minimum.reduceat(points, bounds[:-1], axis=0)
        greatest = np.maximum.reduceat(points, bounds[:-1], axis=0)
        boxes.append(np.concatenate([least, greatest], axis=1))
        if level < depth:
            node = np.repeat(np.arange(1 << level), np.diff(bounds))
            side = np.argmax(greatest - least, axis=1)[node]
            order = order[np.lexsort((order, points[np.arange(count), side], node))]
    return order.astype(np.int32), np.concatenate(boxes)
