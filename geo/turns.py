"""One ping after the other: admit, depart, dwell, arrive. Kernels only."""

from __future__ import annotations

import numpy as np

from geo.arrays import Cells, Ints, Records
from geo.cells import NO_CELL, ancestor
from geo.edge import Spot, edge_m, polygon_holds, spot, square_to
from geo.index import IndexArrays
from geo.judge import Fix, confirms, departs, known_m, ripen, thresholds
from geo.kernels import constant, kernel
from geo.postings import own_span, part_of, part_span
from geo.records import (
    ACCEPTED,
    CHUNK_SHIFT,
    DUPLICATE,
    INVALID,
    LATE,
    NEVER,
    NOBODY,
    UNCERTAIN,
    Kind,
    Reason,
    Rules,
    Work,
)
from geo.table import KEY, OWN, settled, slot_of
from geo.units import AT_MS_END
from geo.visits import end_visit, open_visit, roomy, with_room, write

_ENTER, _LEFT, _TIMEOUT = constant(Kind.ENTER), constant(Reason.LEFT), constant(Reason.TIMEOUT)


@kernel
def take(work: Work, index: IndexArrays, pings: Records, cells: Cells, rules: Rules) -> Work:
    """Take PING[n] with their leaf cells in the order of the array; *work*, its arrays grown where needed."""
    found = np.empty(64, np.int32)
    for i in range(len(pings)):
        ping = pings[i]
        watermark_ms = work.customers[ping["row"]]["at_ms"]
        fate = _fate(ping["at_ms"], watermark_ms, cells[i])
        work.tally[fate] += 1
        if fate != ACCEPTED:
            continue
        here = spot(ping["lat"], ping["lng"])
        fix = Fix(i, ping["row"], here, known_m(ping["accuracy_m"], rules), ping["at_ms"])
        found, count = _around(index, cells[i], here, found)
        work = with_room(work, count, count + _endings(work, index, fix.row))
        _note(work, ping)
        _depart(work, index, fix, found[:count], rules)
        _dwell(work, index, fix, rules)
        _arrive(work, fix, found[:count], rules, watermark_ms == NEVER)
    return work


@kernel
def _fate(at_ms: int, watermark_ms: int, cell: np.uint64) -> int:
    """Which tally the ping belongs to."""
    if cell == NO_CELL or at_ms < 0 or at_ms >= AT_MS_END:
        return INVALID
    if at_ms > watermark_ms:
        return ACCEPTED
    return DUPLICATE if at_ms == watermark_ms else LATE


@kernel
def _note(work: Work, ping: Records) -> None:
    """Remember the fix; the watermark moves."""
    customer = work.customers[ping["row"]]
    customer["lat"], customer["lng"] = ping["lat"], ping["lng"]
    customer["at_ms"], customer["accuracy_m"] = ping["at_ms"], ping["accuracy_m"]
    work.dirty[ping["row"] >> CHUNK_SHIFT] = True


@kernel
def _endings(work: Work, index: IndexArrays, row: int) -> int:
    """The most transitions that the open visits of *row* can give in one turn."""
    most, slot = 0, work.customers[row]["head"]
    while slot != NOBODY:
        most += 1 + thresholds(index, work.visits[slot]["fence"])
        slot = work.visits[slot]["next"]
    return most


@kernel
def _around(index: IndexArrays, cell: np.uint64, here: Spot, found: Ints) -> tuple[Ints, int]:
    """(buffer i4[], count): the fences that contain the point, ascending; *found*, or a longer buffer."""
    count = 0
    for upper in index.upper:
        key = ancestor(cell, upper)
        slot = settled(index.node, slot_of(index.shift, key), key)
        if index.node[slot, KEY] == 0:
            continue
        for first, end in (
            own_span(index.node[slot, OWN]),
            part_span(index.node, index.part_ptr, slot, part_of(cell, upper)),
        ):
            found = roomy(found, count + end - first)
            for at in range(first, end):
                fence = index.posting[at]
                if fence < 0:
                    found[count] = ~fence
                    count += 1
                elif holds(index, at, fence, here):
                    found[count] = fence
                    count += 1
    _sort(found, count)
    return found, count


@kernel
def holds(index: IndexArrays, at: int, fence: int, here: Spot) -> bool:
    """Whether the fence holds the point, which lies in the cell of the posting *at*."""
    limit = index.centre[fence, 3]
    if limit < 0.0:
        return polygon_holds(index.outlines, index.rims, (fence, index.rim[at]), here)
    return bool(square_to(index.centre, fence, here) <= limit)


@kernel
def _sort(found: Ints, count: int) -> None:
    """Order the first *count* by insertion: they are few, in at most eight ascending runs."""
    for i in range(1, count):
        fence, j = found[i], i
        while j > 0 and found[j - 1] > fence:
            found[j] = found[j - 1]
            j -= 1
        found[j] = fence


@kernel
def _depart(work: Work, index: IndexArrays, fix: Fix, found: Ints, rules: Rules) -> None:
    """End the visits that fell silent before this fix or that it leaves; confirm those it agrees with.

    found: the fences that contain the fix, ascending, like the visits; of those no distance is asked.
    """
    after, slot, at = NOBODY, work.customers[fix.row]["head"], 0
    while slot != NOBODY:
        visit = work.visits[slot]
        following, last_ms, radius_m = visit["next"], visit["last_ms"], index.radius_m[visit["fence"]]
        while at < len(found) and found[at] < visit["fence"]:
            at += 1
        inside = at < len(found) and found[at] == visit["fence"]
        edge = 0.0 if inside else edge_m(index, visit["fence"], fix.here)
        if fix.at_ms - last_ms > rules.silent_ms:
            end_visit(work, slot, after, _TIMEOUT, fix.ping, last_ms)
        elif departs(edge, radius_m, fix.accuracy_m, rules):
            end_visit(work, slot, after, _LEFT, fix.ping, fix.at_ms)
        else:
            if confirms(edge, radius_m, rules):
                visit["last_ms"] = fix.at_ms
            after = slot
        slot = following


@kernel
def _dwell(work: Work, index: IndexArrays, fix: Fix, rules: Rules) -> None:
    """Write the dwells that this fix makes due."""
    slot = work.customers[fix.row]["head"]
    while slot != NOBODY:
        ripen(work, index, slot, fix.ping, fix.at_ms, rules.grace_ms)
        slot = work.visits[slot]["next"]


@kernel
def _arrive(work: Work, fix: Fix, found: Ints, rules: Rules, initial: bool) -> None:
    """Begin a visit in each fence of *found* (ascending) that the customer is not in, or count that the fix
    is too uncertain.
    """
    after, slot = NOBODY, work.customers[fix.row]["head"]
    for fence in found:
        while slot != NOBODY and work.visits[slot]["fence"] < fence:
            after, slot = slot, work.visits[slot]["next"]
        if slot != NOBODY and work.visits[slot]["fence"] == fence:
            continue
        if fix.accuracy_m > rules.arrival_accuracy_m:
            work.tally[UNCERTAIN] += 1
            continue
        after = open_visit(work, fix.row, after, fence, fix.at_ms)
        place = write(work, after, _ENTER, fix.ping, fix.at_ms)
        work.out[place]["initial"] = initial
