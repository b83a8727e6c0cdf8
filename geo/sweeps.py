"""Passes over all open visits: time going by without pings, and fences changing under people. Kernels only."""

from __future__ import annotations

from geo.arrays import Flags, Ints
from geo.index import Dwells
from geo.judge import ripen, thresholds
from geo.kernels import allocating, constant, kernel
from geo.records import CHUNK_SHIFT, NOBODY, USED, Reason, Rules, Work
from geo.units import MS_PER_S
from geo.visits import before, end_visit, with_room

_TIMEOUT, _FENCE_GONE = constant(Reason.TIMEOUT), constant(Reason.FENCE_GONE)


@allocating
def pass_time(work: Work, dwells: Dwells, now_ms: int, rules: Rules) -> Work:
    """Write dwells that came due and end visits that fell silent, in order of slot."""
    for slot in range(work.ends[USED]):
        if work.visits[slot]["row"] == NOBODY:
            continue
        work = with_room(work, 0, 1 + thresholds(dwells, work.visits[slot]["fence"]))
        ripen(work, dwells, slot, NOBODY, now_ms, rules.grace_ms)
        last_ms = work.visits[slot]["last_ms"]
        if now_ms - last_ms > rules.silent_ms:
            end_visit(work, slot, before(work, slot), _TIMEOUT, NOBODY, last_ms)
    return work


@allocating
def remap(work: Work, target: Ints, edited: Flags, now_ms: int) -> Work:
    """Carry visits to a new index.

    target: i4[F], the new position of each old fence, ascending where it is not -1. edited: bool[F], its
    thresholds changed.
    """
    for slot in range(work.ends[USED]):
        visit = work.visits[slot]
        if visit["row"] == NOBODY:
            continue
        fence = visit["fence"]
        if target[fence] == NOBODY:
            work = with_room(work, 0, 1)
            end_visit(work, slot, before(work, slot), _FENCE_GONE, NOBODY, max(now_ms, visit["last_ms"]))
            continue
        visit["fence"] = target[fence]
        if edited[fence]:
            visit["dwelt_s"] = max(visit["dwelt_s"], (visit["last_ms"] - visit["since_ms"]) // MS_PER_S)
            work.dirty[visit["row"] >> CHUNK_SHIFT] = True
    return work


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
