"""What began lately at which fence: campaigns that a customer who was silent then has not met yet.

Who was confirmed shortly before a start meets it at once (`geo.starting`). The others meet it at the first fix that
confirms their visit; `before_ms` tells the two apart, so nothing has to be remembered of each visit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geo.arrays import Ints, Longs, Records, frozen
from geo.kernels import constant, kernel
from geo.records import Kind, Work
from geo.visits import write

_START = constant(Kind.START)
_LONG_AGO = np.iinfo(np.int64).min


class Starts(NamedTuple):
    """n fences; made by `starts_of`."""

    fence: Ints
    """i4[n]: positions in the index, ascending and distinct."""
    before_ms: Longs
    """i8[n]: a visit confirmed last before this has not met what began at its fence."""


def starts_of(fence: Ints, before_ms: Longs) -> Starts:
    """i4[n], i8[n], repeats allowed: of a fence's starts the latest counts, for it is met last."""
    latest = np.full(int(np.max(fence, initial=-1)) + 1, _LONG_AGO, np.int64)
    np.maximum.at(latest, fence, before_ms)
    began = np.flatnonzero(latest > _LONG_AGO)
    return Starts(frozen(began, np.int32), frozen(latest[began], np.int64))


NO_STARTS = starts_of(np.zeros(0, np.int32), np.zeros(0, np.int64))


@kernel
def awaits(visit: Records, starts: Starts) -> bool:
    """Whether something began at the visit's fence that the customer has not met."""
    return len(starts.fence) > 0 and bool(visit["last_ms"] < _before_ms(starts, int(visit["fence"])))


@kernel
def confirm(work: Work, slot: int, ping: int, at_ms: int, starts: Starts) -> None:
    """The fix at *at_ms* agrees with the visit: write what began unmet, if anything, and note the moment."""
    visit = work.visits[slot]
    if awaits(visit, starts):
        place = write(work, slot, _START, ping, visit["last_ms"])
        work.out[place]["dwell_s"] = visit["dwelt_s"]
    visit["last_ms"] = at_ms


@kernel
def _before_ms(starts: Starts, fence: int) -> int:
    """Of a fence; 0 if nothing began there."""
    low, high = 0, len(starts.fence)
    while low < high:
        middle = (low + high) >> 1
        if starts.fence[middle] < fence:
            low = middle + 1
        else:
            high = middle
    if low < len(starts.fence) and starts.fence[low] == fence:
        return int(starts.before_ms[low])
    return 0
