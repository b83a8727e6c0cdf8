"""Intervals of time: half-open [start_ms, end_ms), as lists while compiling and as one table while matching."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.arrays import frozen

ALWAYS = -1  # a posting without weekly hours
UNKNOWN = -1  # a store without known opening hours

Interval = tuple[int, int]
Longs = npt.NDArray[np.int64]


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Sorted, disjoint and not touching; empty ones dropped."""
    out: list[Interval] = []
    for start, end in sorted(i for i in intervals if i[0] < i[1]):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out


def intersection(one: Sequence[Interval], other: Sequence[Interval]) -> list[Interval]:
    """What lies in both; both merged, and so is the answer."""
    out: list[Interval] = []
    i = j = 0
    while i < len(one) and j < len(other):
        start, end = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if start < end:
            out.append((start, end))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return out


def covers(starts: Sequence[int], ends: Sequence[int], at_ms: int) -> bool:
    """Whether *at_ms* lies in one of the merged intervals, by bisection."""
    i = bisect_right(starts, at_ms) - 1
    return i >= 0 and at_ms < ends[i]


class IntervalTable:
    """Rows of merged intervals: `ptr` i8[rows + 1], `starts` and `ends` i8[total], all read-only."""

    __slots__ = ("ends", "ptr", "starts")

    def __init__(self, ptr: Longs, starts: Longs, ends: Longs) -> None:
        self.ptr, self.starts, self.ends = (frozen(column, np.int64) for column in (ptr, starts, ends))

    @classmethod
    def of(cls, rows: Sequence[Sequence[Interval]]) -> IntervalTable:
        """The table of these rows, each merged already."""
        flat = [interval for row in rows for interval in row]
        ptr = np.concatenate(([0], np.cumsum([len(row) for row in rows], dtype=np.int64))).astype(np.int64)
        starts = np.array([start for start, _ in flat], dtype=np.int64)
        ends = np.array([end for _, end in flat], dtype=np.int64)
        return cls(ptr, starts, ends)

    def __len__(self) -> int:
        return len(self.ptr) - 1

    @property
    def columns(self) -> tuple[Longs, Longs, Longs]:
        """(ptr, starts, ends), for kernels."""
        return self.ptr, self.starts, self.ends

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Name → array, for the codec."""
        return {"ptr": self.ptr, "starts": self.starts, "ends": self.ends}
