"""All fences compiled into read-only arrays: who could contain a point, and the circle that decides.

Order-independent: the same circles in any order give the same arrays, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from geo.arrays import Cells, Floats, Ints, Longs, frozen
from geo.cover import Cover, circle_cover, level
from geo.errors import FenceError, GeoError
from geo.fence import Circle
from geo.sphere import units
from geo.table import fill, shift_of, slots_for


class IndexArrays(NamedTuple):
    """What kernels see of an index; meanings as in `FenceIndex`."""

    xyz: Floats
    radius_m: Floats
    levels: Ints
    cell_key: Cells
    cell_span: Ints
    posting: Ints
    dwell_ptr: Ints
    dwell_s: Ints
    shift: np.uint64


_DTYPES = {
    "fence": np.int64,
    "lat": np.float64,
    "lng": np.float64,
    "radius_m": np.float64,
    "xyz": np.float64,
    "levels": np.int32,
    "cell_key": np.uint64,
    "cell_span": np.int32,
    "posting": np.int32,
    "dwell_ptr": np.int32,
    "dwell_s": np.int32,
}


@dataclass(frozen=True, eq=False)
class FenceIndex:
    """F fences, each known by its position 0..F-1. All arrays are read-only."""

    fence: Longs
    """i8[F]: stable ids, ascending."""
    lat: Floats
    """f8[F]: degrees."""
    lng: Floats
    """f8[F]: degrees."""
    radius_m: Floats
    """f8[F]: metres."""
    xyz: Floats
    """f8[F, 3]: unit vectors of the centres."""
    levels: Ints
    """i4[0..4]: resolutions in use, ascending."""
    cell_key: Cells
    """u8[H]: hash table of the covers' cells (`geo.table`)."""
    cell_span: Ints
    """i4[H, 3]: of the cell in the same slot: postings [a, b) are fences it lies inside of, [b, c) those with
    their edge in it.
    """
    posting: Ints
    """i4[N]: positions of fences, ascending in each of the two runs of a cell."""
    dwell_ptr: Ints
    """i4[F + 1]: thresholds of fence f are dwell_s[dwell_ptr[f]:dwell_ptr[f + 1]]."""
    dwell_s: Ints
    """i4[D]: seconds, ascending and distinct within a fence."""

    def __len__(self) -> int:
        return len(self.fence)

    @classmethod
    def build(cls, circles: Sequence[Circle]) -> FenceIndex:
        """Compile *circles*, about 0.1 ms each. Raises `FenceError` when two of them carry the same id."""
        ordered = sorted(circles, key=lambda circle: circle.fence)
        fence = np.array([circle.fence for circle in ordered], np.int64)
        if (repeated := fence[1:][fence[1:] == fence[:-1]]).size:
            raise FenceError(f"two fences carry the id {repeated[0]}")
        lat = np.array([circle.lat for circle in ordered], np.float64)
        lng = np.array([circle.lng for circle in ordered], np.float64)
        plain = {"fence": fence, "lat": lat, "lng": lng, "xyz": units(lat, lng)}
        plain["radius_m"] = np.array([circle.radius_m for circle in ordered], np.float64)
        plain["levels"] = np.array(sorted({level(circle.radius_m) for circle in ordered}), np.int32)
        return cls.from_arrays(plain | _dwells(ordered) | _postings([circle_cover(circle) for circle in ordered]))

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
        return cls(**{name: frozen(arrays[name], dtype) for name, dtype in _DTYPES.items()})

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
        values = {name: getattr(self, name) for name in IndexArrays._fields if name != "shift"}
        return IndexArrays(**values, shift=shift_of(self.cell_key))


def _dwells(circles: Sequence[Circle]) -> dict[str, Any]:
    """The thresholds of all fences as CSR."""
    each = [sorted(set(circle.dwells_s)) for circle in circles]
    ends = np.cumsum([0, *map(len, each)])
    return {
        "dwell_ptr": ends.astype(np.int32),
        "dwell_s": np.array([s for one in each for s in one], np.int32),
    }


def _postings(covers: Sequence[Cover]) -> dict[str, Any]:
    """The covers of fences 0..F-1 turned round: cell → fences, inside first."""
    parts = [(cover.inside, cover.edge) for cover in covers]
    cell = np.concatenate([run for part in parts for run in part] or [np.zeros(0, np.uint64)])
    lengths = [len(run) for part in parts for run in part]
    run_of = np.repeat(np.arange(len(lengths)), lengths)  # run 2f is the inside of fence f, run 2f + 1 its edge
    order = np.lexsort((run_of, run_of % 2, cell))
    cell, run_of = cell[order], run_of[order]
    distinct, start, total = np.unique(cell, return_index=True, return_counts=True)
    inside = np.add.reduceat(run_of % 2 == 0, start, dtype=np.int64) if len(start) else start
    key = np.zeros(slots_for(len(distinct)), np.uint64)
    slot = fill(key, shift_of(key), frozen(distinct, np.uint64))
    span = np.zeros((len(key), 3), np.int32)
    span[slot] = np.stack([start, start + inside, start + total], axis=-1)
    return {"cell_key": key, "cell_span": span, "posting": (run_of // 2).astype(np.int32)}
