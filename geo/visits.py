"""Visits as a pool of linked lists, one list a customer in ascending order of fence; and the page transitions
are written on.

Kernels only. They never grow an array: `with_room` does, before a customer's turn begins.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from geo.arrays import Ints
from geo.kernels import allocating, constant, kernel
from geo.records import CHUNK_SHIFT, EMITTED, FREE, NOBODY, USED, Kind, Work

_EXIT = constant(Kind.EXIT)
Array = TypeVar("Array", bound=np.ndarray[Any, Any])


@allocating
def roomy(array: Array, need: int) -> Array:
    """*array* if it has *need* elements, else a copy at least twice as long."""
    if need <= len(array):
        return array
    longer: Array = np.empty(max(2 * len(array), need), array.dtype)  # type: ignore[assignment]  # same dtype
    for i in range(len(array)):  # a slice assignment takes numba seconds to compile
        longer[i] = array[i]
    return longer


@allocating
def with_room(work: Work, visits: int, transitions: int) -> Work:
    """*work* with place for that many more visits and transitions."""
    return Work(
        work.customers,
        roomy(work.visits, work.ends[USED] + visits),
        work.ends,
        work.dirty,
        roomy(work.out, work.tally[EMITTED] + transitions),
        work.tally,
        work.found,
    )


def longer(work: Work) -> Work:
    """*work* with place for twice as much of everything that may have been too short for a turn. Visits are kept, so
    there is place for no more of them than one fix can begin.
    """
    short = len(work.visits) < work.ends[USED] + len(work.found)
    visits = _doubled(work.visits) if short else work.visits
    return work._replace(visits=visits, out=_doubled(work.out), found=_doubled(work.found))


def _doubled(array: Array) -> Array:
    longer: Array = np.concatenate([array, np.empty_like(array)])  # type: ignore[assignment]  # same dtype
    return longer


@kernel
def open_visit(work: Work, row: int, after: int, fence: int, at_ms: int) -> int:
    """Link a new visit, begun, behind the visit *after* (`NOBODY`: as the first); its slot."""
    slot = work.ends[FREE]
    if slot == NOBODY:
        slot = work.ends[USED]
        work.ends[USED] += 1
    else:
        work.ends[FREE] = work.visits[slot]["next"]
    visit = work.visits[slot]
    visit["row"], visit["fence"], visit["dwelt_s"] = row, fence, 0
    visit["since_ms"] = visit["last_ms"] = visit["turned_ms"] = at_ms
    visit["weighed_ms"], visit["begun"] = 0, 1
    void_safe(work, row)
    if after == NOBODY:
        visit["next"] = work.customers[row]["head"]
        work.customers[row]["head"] = slot
    else:
        visit["next"] = work.visits[after]["next"]
        work.visits[after]["next"] = slot
    return int(slot)


@kernel
def void_safe(work: Work, row: int) -> None:
    """End the customer's safe region: it holds only as long as the visits are those it was laid with. A turn lays the
    next one when its visits are settled.
    """
    work.customers[row]["safe_m"] = 0.0


@kernel
def close_visit(work: Work, slot: int, after: int) -> None:
    """Unlink the visit, which follows *after* in its list (`NOBODY`: is the first), and free its record."""
    visit = work.visits[slot]
    void_safe(work, visit["row"])
    if after == NOBODY:
        work.customers[visit["row"]]["head"] = visit["next"]
    else:
        work.visits[after]["next"] = visit["next"]
    visit["row"], visit["next"] = NOBODY, work.ends[FREE]
    work.ends[FREE] = slot


@kernel
def before(work: Work, slot: int) -> int:
    """The visit that *slot* follows in its list, or `NOBODY`."""
    after, at = NOBODY, work.customers[work.visits[slot]["row"]]["head"]
    while at != slot:
        after, at = at, work.visits[at]["next"]
    return int(after)


@kernel
def write(work: Work, slot: int, kind: int, ping: int, at_ms: int) -> int:
    """Write a transition of the visit in *slot*; its place in `out`. Its chunk becomes dirty."""
    place = work.tally[EMITTED]
    work.tally[EMITTED] += 1
    visit, record = work.visits[slot], work.out[place]
    record["kind"], record["reason"], record["initial"] = kind, 0, False
    record["ping"], record["row"], record["fence"] = ping, visit["row"], visit["fence"]
    record["since_ms"], record["at_ms"], record["dwell_s"] = visit["since_ms"], at_ms, 0
    work.dirty[visit["row"] >> CHUNK_SHIFT] = True
    return int(place)


@kernel
def end_visit(work: Work, slot: int, after: int, reason: int, ping: int, at_ms: int) -> None:
    """Write the exit of the visit that follows *after*, and close it. A claim is closed without a word."""
    if work.visits[slot]["begun"]:
        place = write(work, slot, _EXIT, ping, at_ms)
        work.out[place]["reason"] = reason
    work.dirty[work.visits[slot]["row"] >> CHUNK_SHIFT] = True
    close_visit(work, slot, after)


@allocating
def slots_of(work: Work, first_row: int, end_row: int) -> Ints:
    """i4[n]: slots of the open visits of rows [first_row, end_row), ordered by (row, fence)."""
    slots, count = np.empty(64, np.int32), 0
    for row in range(first_row, end_row):
        slot = work.customers[row]["head"]
        while slot != NOBODY:
            slots = roomy(slots, count + 1)
            slots[count] = slot
            count += 1
            slot = work.visits[slot]["next"]
    return slots[:count]
