"""Passes over all open visits: time going by without pings, and fences changing under people. Kernels only."""

from __future__ import annotations

from typing import NamedTuple

from geo.arrays import Flags, Ints, Longs
from geo.edge import edge_m, spot
from geo.index import Dwells, IndexArrays
from geo.judge import departs, known_m, ripen, thresholds
from geo.kernels import allocating, constant, kernel
from geo.records import CHUNK_SHIFT, NOBODY, USED, Reason, Rules, Work
from geo.units import MS_PER_S
from geo.visits import before, end_visit, with_room

_TIMEOUT, _FENCE_GONE = constant(Reason.TIMEOUT), constant(Reason.FENCE_GONE)
_FENCE_EDITED = constant(Reason.FENCE_EDITED)


class Carried(NamedTuple):
    """What becomes of the fences of an old index in a new one."""

    target: Ints
    """i4[F]: the new position of each, -1 where there is none; ascending otherwise."""
    edited: Flags
    """bool[F]: its thresholds changed."""
    moved: Flags
    """bool[F]: its shape changed."""


@allocating
def pass_time(work: Work, dwells: Dwells, now_ms: int, rules: Rules) -> Work:
    """Write dwells that came due and end visits that fell silent, in order of slot."""
    for slot in range(work.ends[USED]):
        if work.visits[slot]["row"] == NOBODY:
            continue
        work = with_room(work, 0, 1 + thresholds(dwells, work.visits[slot]["fence"]))
        if work.visits[slot]["begun"]:
            ripen(work, dwells, slot, NOBODY, now_ms, rules.grace_ms)
        last_ms = work.visits[slot]["last_ms"]
        if now_ms - last_ms > rules.silent_ms:
            end_visit(work, slot, before(work, slot), _TIMEOUT, NOBODY, last_ms)
    return work


@allocating
def pass_silence(work: Work, heard_ms: Longs, before_ms: int) -> Work:
    """End the visits of customers of whom nothing was heard since *before_ms*; i8[rows]."""
    for slot in range(work.ends[USED]):
        row = work.visits[slot]["row"]
        if row != NOBODY and heard_ms[row] < before_ms:
            work = with_room(work, 0, 1)
            end_visit(work, slot, before(work, slot), _TIMEOUT, NOBODY, work.visits[slot]["last_ms"])
    return work


@allocating
def remap(work: Work, carried: Carried, new: IndexArrays, now_ms: int, rules: Rules) -> Work:
    """Carry visits to a new index; end those whose fence is not in it, or no longer near the last fix."""
    target, edited, moved = carried
    for slot in range(work.ends[USED]):
        visit = work.visits[slot]
        if visit["row"] == NOBODY:
            continue
        fence = visit["fence"]
        gone = target[fence] == NOBODY
        if gone or (moved[fence] and _outside(work, slot, target[fence], new, rules)):
            work, reason = with_room(work, 0, 1), _FENCE_GONE if gone else _FENCE_EDITED
            end_visit(work, slot, before(work, slot), reason, NOBODY, max(now_ms, visit["last_ms"]))
            continue
        visit["fence"] = target[fence]
        if edited[fence]:
            visit["dwelt_s"] = max(visit["dwelt_s"], (visit["last_ms"] - visit["since_ms"]) // MS_PER_S)
            work.dirty[visit["row"] >> CHUNK_SHIFT] = True
    return work


@kernel
def _outside(work: Work, slot: int, fence: int, new: IndexArrays, rules: Rules) -> bool:
    """Whether the customer's last fix is decisively outside of the fence; of a claim, whatever it says."""
    visit = work.visits[slot]
    if not visit["begun"]:
        return True
    customer = work.customers[visit["row"]]
    here = spot(float(customer["lat"]), float(customer["lng"]))
    accuracy_m = known_m(float(customer["accuracy_m"]), rules)
    return departs(edge_m(new, fence, here), float(new.radius_m[fence]), accuracy_m, rules)


@kernel
def edited_dwells(old: Dwells, new: Dwells, target: Ints, edited: Flags) -> None:
    """Set edited[f] for each old fence that has a target with other thresholds."""
    for fence in range(len(target)):
        to = target[fence]
        if to == NOBODY:
            continue
        count, a, b = thresholds(old, fence), old.dwell_ptr[fence], new.dwell_ptr[to]
        edited[fence] = count != thresholds(new, to)
        for k in range(count):
            if not edited[fence]:
                edited[fence] = old.dwell_s[a + k] != new.dwell_s[b + k]
