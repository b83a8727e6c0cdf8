"""Enter, exit and dwell: what pings, time and changing fences do to presence.

One customer's pings are judged in the order of the batch, so that advance(a + b) is advance(a) followed by
advance(b).
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from geo.ahead import BLOCK, ROWS
from geo.arrays import Records, frozen
from geo.cells import library_leaves, the_grid
from geo.errors import GeoError
from geo.index import FenceIndex, same_ground
from geo.leaves import ASK
from geo.presence import Presence
from geo.records import (
    ACCEPTED,
    DUPLICATE,
    INVALID,
    LATE,
    NOBODY,
    PING,
    RULES,
    TRANSITION,
    UNDECIDED,
    Kind,
    Reason,
    Rules,
    Verdict,
)
from geo.starting import alike
from geo.starts import NO_STARTS, Starts
from geo.sweeps import Carried, edited_dwells, pass_time, remap
from geo.turns import How, leaves_astir, take
from geo.visits import longer

__all__ = [
    "PING",
    "RULES",
    "TRANSITION",
    "Advance",
    "Kind",
    "Reason",
    "Rules",
    "Verdict",
    "advance",
    "switch",
    "tick",
]


class Advance(NamedTuple):
    """What a batch of n pings did; n = accepted + duplicate + late + invalid."""

    transitions: Records
    """TRANSITION[m], in order of `ping`; of one ping exits and starts, dwells, enters, each by fence."""
    accepted: int
    duplicate: int
    """At the customer's watermark exactly."""
    late: int
    """Below it: stale, it decides nothing here. What it tells of visits is `geo.settling`'s."""
    undecided: Counter[Verdict]
    """(ping, fence) pairs about which the fix decides nothing, by why: those it lies in without a visit, and those of
    visits that it does not confirm."""
    invalid: int
    """Position not `valid`, or time outside [0, AT_MS_END)."""


def advance(
    presence: Presence, index: FenceIndex, pings: Records, rules: Rules = RULES, starts: Starts = NO_STARTS
) -> Advance:
    """Judge PING[n] against the index. *presence* grows to the largest row; raises `GeoError`, unchanged, on
    a negative row. *starts* names fences of the index by position.
    """
    if not len(pings):
        return Advance(frozen(np.empty(0, TRANSITION), TRANSITION), 0, 0, 0, Counter(), 0)
    pings = frozen(pings, PING)
    if (least := int(pings["row"].min())) < 0:
        raise GeoError(f"row {least} is negative")
    presence.reserve(int(pings["row"].max()) + 1)
    cells, work, done = np.empty(len(pings), np.uint64), presence.work(len(pings)), 0
    leaves_astir(work.customers, pings, the_grid(), cells)
    how, room = How(rules, starts), np.empty((ROWS, BLOCK), np.int64)
    while (done := take(work, index.kernel_view, pings, cells, how, (done, room))) < len(pings):
        if cells[done] > ASK:
            work = longer(work)
        else:
            cells[done] = library_leaves(pings["lat"][done : done + 1], pings["lng"][done : done + 1])[0]
    accepted, duplicate, late, invalid = (int(work.tally[name]) for name in (ACCEPTED, DUPLICATE, LATE, INVALID))
    undecided = Counter({why: int(work.tally[UNDECIDED + why]) for why in Verdict if work.tally[UNDECIDED + why]})
    return Advance(presence.settle(work), accepted, duplicate, late, undecided, invalid)


def tick(presence: Presence, index: FenceIndex, now_ms: int, rules: Rules = RULES) -> Records:
    """TRANSITION[m] of customers who sent nothing, ordered by (row, fence), dwells before the exit;
    watermarks stay.

    A dwell fires while its visit was confirmed at most `grace_ms` ago; later only a ping that confirms the
    visit can fire it. Exit (reason timeout) is dated `last_ms`, the moment of the last confirming fix.
    """
    work = pass_time(presence.work(), index.kernel_view.dwells, now_ms, rules)
    return _by_row(presence.settle(work))


def switch(presence: Presence, old: FenceIndex, new: FenceIndex, now_ms: int, rules: Rules = RULES) -> Records:
    """Carry open visits from *old* to *new* by stable id; TRANSITION[m], ordered by (row, fence), of those
    whose fence vanished (reason fence_gone), or was drawn anew and leaves the last fix decisively outside
    (fence_edited).

    Their exits are dated *now_ms*, or the last confirming fix if that is later, and name positions of *old*. Where
    thresholds changed, those already passed at the visit's last confirming fix count as passed: they do not fire for
    time gone by.
    """
    target = frozen(new.position_of(old.fence), np.int32)
    edited = np.zeros(len(old), np.bool_)
    edited_dwells(old.kernel_view.dwells, new.kernel_view.dwells, target, edited)
    moved = np.zeros(len(old), np.bool_)
    if not same_ground(old, new):
        presence.void_safe()
        moved[:] = (target != NOBODY) & ~np.append(alike(old, new), True)[target]
    carried = Carried(target, edited, moved)
    return _by_row(presence.settle(remap(presence.work(), carried, new.kernel_view, now_ms, rules)))


def _by_row(transitions: Records) -> Records:
    """Ordered by (row, fence); the order within one visit stays (lexsort is stable)."""
    return frozen(transitions[np.lexsort((transitions["fence"], transitions["row"]))], TRANSITION)
