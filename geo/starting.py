"""Who is there when something begins: in a fence that is new, or in one where a campaign starts.

Only customers whose last fix is young enough are asked; the others are met at their next one.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from geo.arrays import Flags, Ints, Records, frozen
from geo.fence import RADIUS_MAX_M, Circle
from geo.index import FenceIndex, IndexArrays
from geo.kernels import allocating, constant, kernel
from geo.match import match
from geo.outline import Outlines
from geo.pings import PingIndex
from geo.presence import Presence
from geo.records import NOBODY, RULES, TRANSITION, USED, Kind, Rules, Work
from geo.visits import open_visit, with_room, write

_ENTER, _START = constant(Kind.ENTER), int(Kind.START)
_SLACK_M: Final = 0.01
"""What rounding may take from the circle around a fence; `match` decides."""
_QUESTION_ROWS: Final = 100
"""A question about one circle takes as long as matching that many points."""


def appeared(old: FenceIndex, new: FenceIndex) -> Ints:
    """i4[n]: positions in *new* of the fences that *old* does not have, or has in another shape; ascending."""
    return np.flatnonzero(~alike(old, new)).astype(np.int32)


def alike(old: FenceIndex, new: FenceIndex) -> Flags:
    """bool[len(new)]: which fences *old* has too, in the same shape."""
    same = np.zeros(len(new), np.bool_)
    _same_shapes(old.kernel_view, new.kernel_view, frozen(new.position_of(old.fence), np.int32), same)
    return same


def arrive(pings: PingIndex, index: FenceIndex, fences: Ints, fresh_from_ms: int, rules: Rules = RULES) -> Records:
    """Begin visits of customers who are in the fences i4[n], and in no visit there, by a last fix that is not older
    than *fresh_from_ms* and accurate enough to arrive with.

    TRANSITION[m], enters, ordered by (row, fence); since and at are the fix's. *pings* follows the presence written to.
    """
    presence = pings.presence
    rows = _asked(pings, index, fences)
    rows = rows[_fresh(presence.customers[rows], fresh_from_ms, rules)]
    known = presence.customers[rows]
    pairs = match(index, known["lat"], known["lng"])
    wanted = np.zeros(len(index), np.bool_)
    wanted[fences] = True
    kept = wanted[pairs.fence]
    row = frozen(rows[pairs.point[kept]], np.int32)
    return presence.settle(_open(presence.work(), row, frozen(pairs.fence[kept], np.int32)))


def meet(presence: Presence, fences: Ints, fresh_from_ms: int) -> Records:
    """TRANSITION[m], starts, ordered by (row, fence): the open visits in the fences i4[n], where something begins now,
    that were confirmed not before *fresh_from_ms*. Changes nothing.
    """
    visits = presence.pool[: presence.ends[USED]]
    begun = (visits["row"] != NOBODY) & (visits["begun"] != 0)
    there = np.flatnonzero(begun & (visits["last_ms"] >= fresh_from_ms))
    visits = visits[there[np.isin(visits["fence"][there], fences)]]
    visits = visits[np.lexsort((visits["fence"], visits["row"]))]
    out = np.zeros(len(visits), TRANSITION)
    out["kind"], out["ping"] = _START, NOBODY
    for name, of_visit in _OF_VISIT.items():
        out[name] = visits[of_visit]
    return frozen(out, TRANSITION)


_OF_VISIT: Final = {"row": "row", "fence": "fence", "since_ms": "since_ms", "at_ms": "last_ms", "dwell_s": "dwelt_s"}


def _asked(pings: PingIndex, index: FenceIndex, fences: Ints) -> Ints:
    """i4[n], ascending: rows among which all in the fences are: around each where they are few, else everybody."""
    if not len(fences):
        return np.zeros(0, np.int32)
    reach_m = index.reach_m[fences] + _SLACK_M
    if len(fences) * _QUESTION_ROWS > len(pings) or reach_m.max() > RADIUS_MAX_M:
        return np.arange(pings.presence.rows, dtype=np.int32)
    circles = zip(index.lat[fences].tolist(), index.lng[fences].tolist(), reach_m.tolist(), strict=True)
    around = np.concatenate([pings.inside(Circle(0, lat, lng, radius_m)) for lat, lng, radius_m in circles])
    rows: Ints = np.unique(around)
    return rows


def _fresh(known: Records, fresh_from_ms: int, rules: Rules) -> Flags:
    """bool[n]: which of CUSTOMER[n] could begin a visit."""
    accuracy_m = np.where(known["accuracy_m"] > 0.0, known["accuracy_m"], rules.unknown_accuracy_m)
    fresh: Flags = (known["at_ms"] >= fresh_from_ms) & (accuracy_m <= rules.arrival_accuracy_m)
    return fresh


@allocating
def _open(work: Work, rows: Ints, fences: Ints) -> Work:
    """Begin visits of rows in fences, by their last fixes, where there is none yet."""
    work = with_room(work, len(rows), len(rows))
    for i in range(len(rows)):
        row, fence = rows[i], fences[i]
        after, slot = NOBODY, work.customers[row]["head"]
        while slot != NOBODY and work.visits[slot]["fence"] < fence:
            after, slot = slot, work.visits[slot]["next"]
        if slot != NOBODY and work.visits[slot]["fence"] == fence:
            continue
        at_ms = work.customers[row]["at_ms"]
        write(work, open_visit(work, row, after, fence, at_ms), _ENTER, NOBODY, at_ms)
    return work


@kernel
def _same_shapes(old: IndexArrays, new: IndexArrays, target: Ints, same: Flags) -> None:
    """Set same[t] for each old fence whose target t looks as it did."""
    one, other, rank, new_rank = old.lookup.centre, new.lookup.centre, old.lookup.rank, new.lookup.rank
    for fence in range(len(target)):
        to = target[fence]
        if to == NOBODY or old.radius_m[fence] != new.radius_m[to] or old.reach_m[fence] != new.reach_m[to]:
            continue
        a, b = rank[fence], new_rank[to]
        if one[a, 0] == other[b, 0] and one[a, 1] == other[b, 1] and one[a, 2] == other[b, 2]:
            same[to] = _same_outline(old.outlines, new.outlines, a, b)


@kernel
def _same_outline(old: Outlines, new: Outlines, rank: int, new_rank: int) -> bool:
    """Whether both have the same vertices in the same chains; circles have none."""
    a, b, chains = old.chain_ptr[rank], new.chain_ptr[new_rank], old.chain_ptr[rank + 1] - old.chain_ptr[rank]
    if new.chain_ptr[new_rank + 1] - b != chains:
        return False
    for c in range(chains):
        first, first_new = old.chain[a + c, 0], new.chain[b + c, 0]
        edges = old.chain[a + c, 1] - first
        if new.chain[b + c, 1] - first_new != edges:
            return False
        for k in range(edges + 1):
            if old.vertex[first + k, 0] != new.vertex[first_new + k, 0]:
                return False
            if old.vertex[first + k, 1] != new.vertex[first_new + k, 1]:
                return False
    return True
