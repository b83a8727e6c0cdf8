"""All fences compiled into read-only arrays: who could contain a point, and the outline that decides.

Order-independent: the same fences in any order give the same arrays, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from geo.arrays import Cells, Flags, Floats, Ints, Longs, frozen, in_lines
from geo.cells import encode
from geo.compiling import Each, Fence, Told, compiled, dwells
from geo.errors import FenceError, GeoError
from geo.fence import Circle
from geo.kernels import kernel
from geo.outline import Outlines
from geo.postings import group_of, node_of, place_of, postings
from geo.sphere import units
from geo.table import shift_of
from geo.tiles import Tiles
from geo.units import EARTH_RADIUS_M

_ROUND_UP = 1.0 + 1e-9


class Lookup(NamedTuple):
    """What a point is looked up by; meanings as in `FenceIndex`. Few arrays, so that kernels may hand it to kernels."""

    upper: Ints
    shift: np.uint64
    group: Cells
    node: Cells
    posting: Ints
    centre: Floats
    order: Ints
    rank: Ints


class Dwells(NamedTuple):
    """Thresholds; meanings as in `FenceIndex`."""

    dwell_ptr: Ints
    dwell_s: Ints


class IndexArrays(NamedTuple):
    """What kernels see of an index; meanings as in `FenceIndex`. To hand all of it to a kernel costs more than to test
    a circle: once a batch, or for a fence that matters.
    """

    lookup: Lookup
    dwells: Dwells
    radius_m: Floats
    reach_m: Floats
    outlines: Outlines
    tiles: Tiles


_DTYPES = {
    "fence": np.int64,
    "lat": np.float64,
    "lng": np.float64,
    "radius_m": np.float64,
    "reach_m": np.float64,
    "centre": np.float64,
    "order": np.int32,
    "rank": np.int32,
    "upper": np.int32,
    "group": np.uint64,
    "node": np.uint64,
    "posting": np.int32,
    "dwell_ptr": np.int32,
    "dwell_s": np.int32,
    "vertex": np.float64,
    "chain": np.int32,
    "chain_ptr": np.int32,
    "box": np.float64,
    "box_ptr": np.int32,
    "frame": np.float64,
    "tile_at": np.int64,
    "tile": np.int32,
}
_ROWS = ("centre", "node", "frame")
"""Arrays of rows of which one is read at a time, anywhere; in a snapshot's file every array begins with a line."""


@dataclass(frozen=True, eq=False)
class FenceIndex:
    """F fences, each known by its position 0..F-1. All arrays are read-only."""

    fence: Longs
    """i8[F]: stable ids, ascending."""
    lat: Floats
    """f8[F]: degrees; of a polygon the middle of its box."""
    lng: Floats
    """f8[F]: degrees, likewise."""
    radius_m: Floats
    """f8[F]: metres; of a polygon that of the circle of the same area, by which its rim is measured."""
    reach_m: Floats
    """f8[F]: metres; nothing of the fence lies farther from (lat, lng)."""
    order: Ints
    """i4[F]: positions of the fences in the order of space, so that what is needed together lies together: all of the
    following is by that order but for `dwell_ptr`.
    """
    rank: Ints
    """i4[F]: the place of each fence in that order: its rank."""
    centre: Floats
    """f8[F, 4]: unit vector of (lat, lng), and the square of the radius' chord on the unit sphere; of a polygon, which
    is known by it, that of the reach's, rounded up and below 0.
    """
    upper: Ints
    """i4[0..3]: resolutions of nodes in use, ascending (`geo.postings`)."""
    group: Cells
    """u8[H, 10]: hash table of groups of nodes (`geo.table`, `geo.postings`)."""
    node: Cells
    """u8[M + 1, 4]: nodes in the order of their cells, and an empty one: bits of its parts, its own postings as first
    and count in 32 bits each, place in `posting` of where those of its parts begin, and what comes near as its own.
    """
    posting: Ints
    """i4[N]: blocks of nodes. By cell, inside first: ~r where the cell lies inside of the fence of rank r, r where its
    edge is in it; both runs ascending in r. What comes near: r, ascending. The postings of a node's k-th part are
    [posting[place + k], posting[place + k + 1]).
    """
    dwell_ptr: Ints
    """i4[F + 1]: thresholds of fence f are dwell_s[dwell_ptr[f]:dwell_ptr[f + 1]]."""
    dwell_s: Ints
    """i4[D]: seconds, ascending and distinct within a fence."""
    vertex: Floats
    """This and the following: the polygons' outlines, see `geo.outline`."""
    chain: Ints
    chain_ptr: Ints
    box: Floats
    box_ptr: Ints
    frame: Floats
    """This and the following: the polygons' tiles, see `geo.tiles`."""
    tile_at: Longs
    tile: Ints

    def __len__(self) -> int:
        return len(self.fence)

    @classmethod
    def build(cls, fences: Sequence[Fence], each: Each = map, told: Told | None = None) -> FenceIndex:
        """Compile *fences*: some microseconds a circle, some tens a polygon. *each* and *told* as in `geo.compiling`.
        Raises `FenceError` when two of them carry the same id.
        """
        ordered = sorted(fences, key=lambda fence: fence.fence)
        ids = np.array([fence.fence for fence in ordered], np.int64)
        if (repeated := ids[1:][ids[1:] == ids[:-1]]).size:
            raise FenceError(f"two fences carry the id {repeated[0]}")
        lat, lng = np.array([_middle(fence) for fence in ordered], np.float64).reshape(-1, 2).T
        order, rank = in_space(lat, lng)
        around, outlines, tiles, covers, near = compiled([ordered[position] for position in order], each, told)
        plain: dict[str, Any] = {
            "fence": ids,
            "lat": around[rank, 0],
            "lng": around[rank, 1],
            "radius_m": around[rank, 2],
            "reach_m": around[rank, 3],
            "order": order,
            "rank": rank,
            "centre": _centres(around, np.diff(outlines.chain_ptr) == 0),
        }
        shapes = outlines._asdict() | tiles._asdict()
        return cls.from_arrays(plain | dwells(ordered) | shapes | postings(covers, near))

    @classmethod
    def empty(cls) -> FenceIndex:
        """The index of no fences."""
        return cls.build([])

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> FenceIndex:
        """The index of `arrays()`; shares the memory of what it is given, memory-mapped or not. Raises
        `GeoError` on a missing name.
        """
        if missing := sorted(_DTYPES.keys() - arrays.keys()):
            raise GeoError(f"an index of fences lacks the array {missing[0]}")
        as_read = {name: in_lines if name in _ROWS else frozen for name in _DTYPES}
        return cls(**{name: as_read[name](arrays[name], dtype) for name, dtype in _DTYPES.items()})

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Name → array, for the snapshot; `from_arrays` takes them back."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def position_of(self, fence_ids: Longs) -> Ints:
        """i4[n]: position of each stable id, -1 where absent."""
        ids = np.asarray(fence_ids, np.int64)
        at = np.searchsorted(self.fence, ids)
        found = np.zeros(len(ids), np.bool_)
        known = at < len(self.fence)
        found[known] = self.fence[at[known]] == ids[known]
        return np.where(found, at, -1).astype(np.int32)

    @cached_property
    def kernel_view(self) -> IndexArrays:
        """The one place where the record is unpacked for kernels."""
        return IndexArrays(
            Lookup(
                self.upper,
                shift_of(self.group),
                self.group,
                self.node,
                self.posting,
                self.centre,
                self.order,
                self.rank,
            ),
            Dwells(self.dwell_ptr, self.dwell_s),
            self.radius_m,
            self.reach_m,
            Outlines(self.vertex, self.chain, self.chain_ptr, self.box, self.box_ptr),
            Tiles(self.frame, self.tile_at, self.tile),
        )


@kernel
def node_at(lookup: Lookup, cell: np.uint64, upper: int) -> np.uint64:
    """Where the node at *upper* of a leaf stands: the empty one, if it has none."""
    slot = group_of(lookup.group, lookup.shift, cell, upper)
    return node_of(lookup.group, slot, place_of(cell, upper), len(lookup.node) - 1)


def same_ground(one: FenceIndex, other: FenceIndex) -> bool:
    """Whether both have the same fences in the same places; what is asked of visits may differ."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("fence", "order", "centre", "vertex", "chain_ptr")
    )


def in_space(lat: Floats, lng: Floats) -> tuple[Ints, Ints]:
    """`FenceIndex.order` and `FenceIndex.rank` of fences with these middles, f8[F] by position: by their leaf cells, in
    one of them by position.
    """
    order = np.argsort(encode(lat, np.mod(lng + 180.0, 360.0) - 180.0), kind="stable").astype(np.int32)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return order, rank


def _middle(fence: Fence) -> tuple[float, float]:
    """Of a polygon that of its box; the longitude may lie beyond ±180°."""
    if isinstance(fence, Circle):
        return fence.lat, fence.lng
    corners = np.concatenate([part[0] for part in fence.drawn])
    (south, west), (north, east) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return 0.5 * (south + north), 0.5 * (west + east)


def _centres(around: Floats, circle: Flags) -> Floats:
    """`FenceIndex.centre`."""
    limit = (2.0 * np.sin(np.where(circle, around[:, 2], -around[:, 3]) / (2.0 * EARTH_RADIUS_M))) ** 2
    limit = np.where(circle, limit, -_ROUND_UP * limit)
    return np.concatenate([units(around[:, 0], around[:, 1]), limit[:, None]], axis=1)
