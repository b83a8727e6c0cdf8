"""One ping after the other: admit, depart or confirm, dwell, arrive. Kernels only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geo.ahead import BLOCK, look_ahead
from geo.arrays import Cells, Floats, Ints, Longs, Records
from geo.edge import Spot, edge_m, spot, square_to
from geo.index import Dwells, IndexArrays, Lookup, node_at
from geo.judge import Fix, known_m, ripe, ripen, thresholds, verdict, weight_ms
from geo.kernels import allocating, constant, inlined, kernel
from geo.leaves import ASK, Grid, leaves
from geo.position import LAT_MAX_DEG, LNG_MAX_DEG
from geo.postings import BITS, OWN, PARTS, one_down, part_of, part_span, span_of
from geo.records import (
    ACCEPTED,
    CHUNK_SHIFT,
    DUPLICATE,
    EMITTED,
    INVALID,
    LATE,
    NEVER,
    NOBODY,
    UNDECIDED,
    USED,
    Kind,
    Reason,
    Rules,
    Verdict,
    Work,
)
from geo.safe import clear_m, covers, keep, walked
from geo.starts import Starts, awaits, confirm
from geo.tiles import Tiles, held
from geo.units import AT_MS_END
from geo.visits import end_visit, open_visit, write

_ENTER, _LEFT, _TIMEOUT = constant(Kind.ENTER), constant(Reason.LEFT), constant(Reason.TIMEOUT)
_IN, _OUT = constant(Verdict.IN), constant(Verdict.OUT)
_ACCURACY_TOO_LOW = constant(UNDECIDED + Verdict.ACCURACY_TOO_LOW)
_UNCORROBORATED = constant(UNDECIDED + Verdict.UNCORROBORATED)


class How(NamedTuple):
    """What fixes are judged by, beside the fences."""

    rules: Rules
    starts: Starts


@kernel
def take(work: Work, index: IndexArrays, pings: Records, cells: Cells, how: How, state: tuple[int, Longs]) -> int:
    """Take PING[n] in the order of the array, from state[0] on. n, or the ping before which it stopped: its leaf must
    be asked of the library (*cells* has `ASK` or 0), or *work* has no room for what it may bring. state[1]: room for
    `geo.ahead`.
    """
    start, room = state
    for i in range(start, len(pings)):
        if (i - start) % BLOCK == 0:
            look_ahead(work, index, pings, cells, (i, min(i + BLOCK, len(pings))), room)
        ping = pings[i]
        customer = work.customers[ping["row"]]
        fate = _fate(ping, customer["at_ms"])
        if fate == ACCEPTED:
            safe = covers(customer, ping["lat"], ping["lng"])
            safe = safe and _stays(work.visits, index.dwells, customer, ping, how)
            if not safe and (cells[i] <= ASK or not _turn(work, index, (i, ping, cells[i]), how)):
                return i
            customer["lat"], customer["lng"] = ping["lat"], ping["lng"]
            customer["at_ms"], customer["accuracy_m"] = ping["at_ms"], ping["accuracy_m"]
            work.dirty[ping["row"] >> CHUNK_SHIFT] = True
        work.tally[fate] += 1
    return len(pings)


@allocating
def leaves_astir(customers: Records, pings: Records, grid: Grid, cells: Cells) -> None:
    """Write the leaf cells, or `ASK`, of the pings that lie outside of their customers' safe regions; 0 for others."""
    lat, lng, which = np.empty(len(pings)), np.empty(len(pings)), np.empty(len(pings), np.int64)
    count = 0
    for i in range(len(pings)):
        cells[i] = 0
        ping = pings[i]
        if not covers(customers[ping["row"]], ping["lat"], ping["lng"]):
            lat[count], lng[count], which[count] = ping["lat"], ping["lng"], i
            count += 1
    found = np.empty(count, np.uint64)
    leaves(grid, lat[:count], lng[:count], found)
    for k in range(count):
        cells[which[k]] = found[k]


@inlined
def _stays(visits: Records, dwells: Dwells, customer: Records, ping: Records, how: How) -> bool:
    """Confirm the visits of a customer within the safe region; False, nothing done, if there is more to do."""
    slot = customer["head"]
    if slot == NOBODY:
        return True
    if ping["at_ms"] - customer["at_ms"] > how.rules.silent_ms:
        return False
    while slot != NOBODY:
        if ripe(dwells, visits[slot], int(ping["at_ms"])) or awaits(visits[slot], how.starts):
            return False
        slot = visits[slot]["next"]
    slot = customer["head"]
    while slot != NOBODY:
        visits[slot]["last_ms"] = ping["at_ms"]
        slot = visits[slot]["next"]
    return True


@inlined
def _turn(work: Work, index: IndexArrays, which: tuple[int, Records, np.uint64], how: How) -> bool:
    """One customer's turn; which: place of the ping, the ping, its leaf. False, nothing done, if *work* lacks room."""
    i, ping, cell = which
    customer = work.customers[ping["row"]]
    here, head = spot(float(ping["lat"]), float(ping["lng"])), customer["head"]
    count = _around(index.lookup, cell, here, work.found)
    if count < 0:
        return False
    count = _settled(index.lookup.order, index.outlines.vertex, index.tiles, here, work.found[:count])
    found = work.found[:count]
    if len(found) or head != NOBODY:
        if not _roomy(work, index.dwells, head, len(found)):
            return False
        accuracy_m, weight = known_m(float(ping["accuracy_m"]), how.rules), weight_ms(customer, ping, here, how.rules)
        fix = Fix(i, int(ping["row"]), here, accuracy_m, int(ping["at_ms"]), weight)
        if head != NOBODY:
            _depart(work, index, fix, found, how)
            _dwell(work, index.dwells, fix, how.rules)
        _arrive(work, fix, found, how.rules, customer["at_ms"] == NEVER)
    safe_m = 0.0
    if walked(customer, here[3], here[4]) and _is_in(work.visits, customer["head"], found):
        safe_m = clear_m(index.lookup, index.outlines, cell, here)
    keep(customer, here, safe_m)
    return True


@inlined
def _is_in(visits: Records, head: int, found: Ints) -> bool:
    """Whether the customer's visits, from *head* on, are in just those fences, which ascend, and nothing is weighed."""
    slot, at = head, 0
    while slot != NOBODY and at < len(found) and visits[slot]["fence"] == found[at]:
        if visits[slot]["weighed_ms"] or not visits[slot]["begun"]:
            return False
        slot, at = visits[slot]["next"], at + 1
    return slot == NOBODY and at == len(found)


@kernel
def _fate(ping: Records, watermark_ms: int) -> int:
    """Which tally the ping belongs to."""
    if not (abs(ping["lat"]) <= LAT_MAX_DEG and abs(ping["lng"]) <= LNG_MAX_DEG):
        return INVALID
    if ping["at_ms"] < 0 or ping["at_ms"] >= AT_MS_END:
        return INVALID
    if ping["at_ms"] > watermark_ms:
        return ACCEPTED
    return DUPLICATE if ping["at_ms"] == watermark_ms else LATE


@inlined
def _around(lookup: Lookup, cell: np.uint64, here: Spot, found: Ints) -> int:
    """Write the ranks of the fences around a point in the leaf *cell*, r for one that holds it, ~r for a polygon that
    may; how many, or -1 if *found* is too short for what may be there.
    """
    count = 0
    for u in range(len(lookup.upper)):
        upper = lookup.upper[u]
        node = node_at(lookup, cell, upper)
        bits, parts, part = lookup.node[node, BITS], lookup.node[node, PARTS], part_of(cell, upper)
        count = _holding(lookup.posting, lookup.centre, span_of(lookup.node[node, OWN]), here, found, count)
        for each in (one_down(part), part):
            run = part_span(bits, parts, lookup.posting, each)
            count = _holding(lookup.posting, lookup.centre, run, here, found, count)
    return count


@inlined
def _holding(posting: Ints, centre: Floats, span: tuple[int, int], here: Spot, found: Ints, count: int) -> int:
    """`_around` for one run of postings, behind the first *count*."""
    if count < 0 or count + span[1] - span[0] > len(found):
        return -1
    for at in range(span[0], span[1]):
        rank = posting[at]
        if rank < 0:
            found[count] = ~rank
            count += 1
        elif square_to(centre, rank, here) <= abs(centre[rank, 3]):
            found[count] = rank if centre[rank, 3] >= 0.0 else ~rank
            count += 1
    return count


@inlined
def _settled(order: Ints, vertex: Floats, tiles: Tiles, here: Spot, found: Ints) -> int:
    """Of the ranks *found* bring the positions of those that hold the point to its front, ascending; how many."""
    kept = 0
    for at in range(len(found)):
        rank = found[at]
        if rank >= 0 or held(vertex, tiles, ~rank, here[3], here[4]):
            found[kept] = order[rank if rank >= 0 else ~rank]
            kept += 1
    if kept > 1:
        _sort(found, kept)
    return kept


@inlined
def _roomy(work: Work, dwells: Dwells, head: int, count: int) -> bool:
    """Whether there is room for *count* visits more, and for all transitions that they and the open ones can give."""
    most, slot = count, head
    while slot != NOBODY:
        most += 1 + thresholds(dwells, work.visits[slot]["fence"])
        slot = work.visits[slot]["next"]
    return bool(work.ends[USED] + count <= len(work.visits) and work.tally[EMITTED] + most <= len(work.out))


@kernel
def _sort(found: Ints, count: int) -> None:
    """Order the first *count* by insertion: they are few, in few ascending runs."""
    for i in range(1, count):
        fence, j = found[i], i
        while j > 0 and found[j - 1] > fence:
            found[j] = found[j - 1]
            j -= 1
        found[j] = fence


@inlined
def _depart(work: Work, index: IndexArrays, fix: Fix, found: Ints, how: How) -> None:
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
        if fix.at_ms - last_ms > how.rules.silent_ms:
            end_visit(work, slot, after, _TIMEOUT, fix.ping, last_ms)
        elif not visit["begun"]:
            after = slot
        else:
            edge = 0.0 if inside else edge_m(index, visit["fence"], fix.here)
            said = verdict(edge, radius_m, fix.accuracy_m, how.rules)
            if said == _OUT and _weighed(visit, fix) >= how.rules.evidence_ms:
                end_visit(work, slot, after, _LEFT, fix.ping, visit["turned_ms"])
            else:
                if said == _IN:
                    confirm(work, slot, fix.ping, fix.at_ms, how.starts)
                    visit["weighed_ms"] = 0
                else:
                    work.tally[_UNCORROBORATED if said == _OUT else UNDECIDED + said] += 1
                after = slot
        slot = following


@inlined
def _weighed(visit: Records, fix: Fix) -> int:
    """Note that the fix lies outside; for how long such fixes speak now."""
    if visit["weighed_ms"] == 0:
        visit["turned_ms"] = fix.at_ms
    visit["weighed_ms"] += fix.weight_ms
    return int(visit["weighed_ms"])


@inlined
def _dwell(work: Work, dwells: Dwells, fix: Fix, rules: Rules) -> None:
    """Write the dwells that this fix makes due."""
    slot = work.customers[fix.row]["head"]
    while slot != NOBODY:
        if work.visits[slot]["begun"]:
            ripen(work, dwells, slot, fix.ping, fix.at_ms, rules.grace_ms)
        slot = work.visits[slot]["next"]


@inlined
def _arrive(work: Work, fix: Fix, found: Ints, rules: Rules, initial: bool) -> None:
    """Weigh the claims, one in each fence of *found* (ascending) that the customer is not in, and begin those that
    weigh enough; or count that the fix is too uncertain.
    """
    after, slot, clear = NOBODY, work.customers[fix.row]["head"], fix.accuracy_m <= rules.arrival_accuracy_m
    for fence in found:
        while slot != NOBODY and work.visits[slot]["fence"] < fence:
            after, slot = _passed(work, after, slot, fix.weight_ms if clear else 0)
        known = slot != NOBODY and work.visits[slot]["fence"] == fence
        if not clear:
            work.tally[_ACCURACY_TOO_LOW] += not known or not work.visits[slot]["begun"]
        elif not known:
            slot = open_visit(work, fix.row, after, fence, fix.at_ms)
            work.visits[slot]["begun"] = 0
        if clear and not work.visits[slot]["begun"]:
            _claim(work, slot, fix, rules, initial)
        if clear or known:
            after, slot = slot, work.visits[slot]["next"]
    while slot != NOBODY:
        after, slot = _passed(work, after, slot, fix.weight_ms if clear else 0)


@inlined
def _passed(work: Work, after: int, slot: int, weight_ms: int) -> tuple[int, int]:
    """(after, slot) of the next one in the list; of a claim in a fence that does not hold the fix less remains."""
    visit = work.visits[slot]
    following = visit["next"]
    if not visit["begun"] and weight_ms > 0:
        visit["weighed_ms"] -= weight_ms
        if visit["weighed_ms"] <= 0:
            end_visit(work, slot, after, _LEFT, NOBODY, 0)
            return after, following
    return slot, following


@inlined
def _claim(work: Work, slot: int, fix: Fix, rules: Rules, initial: bool) -> None:
    """The fix lies inside: more is claimed, and a visit begins if that is enough."""
    visit = work.visits[slot]
    visit["last_ms"] = fix.at_ms
    visit["weighed_ms"] += fix.weight_ms
    if visit["weighed_ms"] < rules.evidence_ms:
        work.tally[_UNCORROBORATED] += 1
        work.dirty[fix.row >> CHUNK_SHIFT] = True
        return
    visit["weighed_ms"], visit["begun"] = 0, 1
    place = write(work, slot, _ENTER, fix.ping, fix.at_ms)
    work.out[place]["initial"] = initial
