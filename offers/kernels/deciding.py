"""One event after the other: its candidates, what holds each, the best of the rest; noted before the next is asked."""

from __future__ import annotations

import numpy as np

from geo.arrays import Ints
from geo.kernels import fetch, inlined, kernel
from offers.consent import CROSS_RETAILER, HISTORY
from offers.kernels.blocks import slot_of
from offers.kernels.bought import remember, tell
from offers.kernels.questions import Moment, barred, held_early, held_late, mask_of, opened, waits
from offers.kernels.ranking import better, farther, keep_best
from offers.kernels.records import MICRO, NONE, PASSED, Asked, Desk, Flag, Ledger, Notes, Rows, World

_AHEAD = 8
"""Postings between asking for a campaign's line of memory and reading it."""
_AUDIENCE = int(Flag.AUDIENCE)
_UNREAD = -1
_MIX = np.uint64(0x9E3779B97F4A7C15)
_DOWN = np.uint64(40)


@kernel
def take(world: World, ledger: Ledger, asked: Asked, desk: Desk, start: int) -> int:
    """Decide the events from *start* on. How many there are, or the one before which it stopped: a customer bought
    more than the desk has room for. There is room for all candidates that the events' fences can have, and for a note
    of each event."""
    filled = 0
    if start:
        filled = desk.verdicts[start - 1]["first"] + desk.verdicts[start - 1]["count"]
    for e in range(start, len(asked.events)):
        count = _decide(world, ledger, asked, desk, e, filled)
        if count < 0:
            return e
        filled += count
    return len(asked.events)


@inlined
def _decide(world: World, ledger: Ledger, asked: Asked, desk: Desk, e: int, first: int) -> int:
    """Write the verdict on event *e* and its candidates from *first* on; how many these are, -1 for want of room."""
    event, known = asked.events[e], _UNREAD
    mask, count, several = mask_of(ledger.notes, event["row"]), 0, event["triggers"] > 1
    if several:
        desk.places[:] = NONE
    for t in range(event["trigger"], event["trigger"] + event["triggers"]):
        trigger = asked.triggers[t]
        fence = trigger["fence"]
        distance_m = max(0.0, world.radius_m[fence] + trigger["edge_m"])
        moment = Moment(
            event,
            trigger,
            barred(event, trigger["kind"]),
            opened(world, world.fence_hours[fence], event["now_ms"]),
            mask,
        )
        end = world.ptr[fence + 1]
        for m in range(world.ptr[fence], end):
            if m + _AHEAD < end:
                fetch(world.campaigns, world.campaign[m + _AHEAD])
            place = world.campaign[m]
            campaign = world.campaigns[place]
            if not waits(campaign, place, trigger, asked.begun_ms):
                continue
            reason = held_early(world, asked, moment, campaign, world.schedule[m])
            if reason == PASSED:
                if known == _UNREAD and campaign["flags"] & _AUDIENCE:
                    known = _known(world, ledger, event, desk.bought)
                    if known < 0:
                        return -1
                reason = held_late(world, ledger, moment, campaign, desk.bought[: max(known, 0)])
            at = first + count
            one = desk.candidates[at]
            one["campaign"], one["store"], one["trigger"] = place, world.fence_store[fence], t
            one["reason"], one["distance_m"] = reason, distance_m
            if several:
                old = _met(desk.candidates, desk.places, place, at)
                if old != NONE:
                    if farther(one, desk.candidates[old]):
                        desk.candidates[old] = one
                    continue
            count += 1
    return _choose(world, ledger, asked, desk, e, (first, count, known))


@inlined
def _known(world: World, ledger: Ledger, event: Rows, bought: Rows) -> int:
    """How many products the customer bought, written to *bought*; none without consent to use them; -1: no room."""
    if not event["consents"] & HISTORY:
        return 0
    return remember(world, ledger.lines, event["row"], event["now_ms"], bought)


@inlined
def _met(candidates: Rows, places: Ints, campaign: int, at: int) -> int:
    """The candidate that the event has of this campaign already; NONE: it has none, and now *at*."""
    mask = len(places) - 1
    slot = int((np.uint64(campaign) * _MIX) >> _DOWN) & mask
    while places[slot] != NONE:
        if candidates[places[slot]]["campaign"] == campaign:
            return int(places[slot])
        slot = (slot + 1) & mask
    places[slot] = at
    return NONE


@inlined
def _choose(world: World, ledger: Ledger, asked: Asked, desk: Desk, e: int, found: tuple[int, int, int]) -> int:
    """Rank what nothing holds, note the best; how many candidates there are, -1 for want of room."""
    first, count, known = found
    event, choice = asked.events[e], NONE
    cross_retailer = event["consents"] & CROSS_RETAILER != 0
    for k in range(first, first + count):
        one = desk.candidates[k]
        if one["reason"] != PASSED:
            continue
        if known == _UNREAD:
            known = _known(world, ledger, event, desk.bought)
            if known < 0:
                return -1
        tell(world, world.campaigns[one["campaign"]], desk.bought[:known], cross_retailer, one)
        total = one["product"] + one["brand"] + one["category"] + one["retailer"]
        one["affinity"] = np.int64(np.rint(total * MICRO))
        if choice == NONE or better(world.campaigns, one, desk.candidates[choice]):
            choice = k
    verdict, candidates = desk.verdicts[e], desk.candidates[first : first + count]
    verdict["first"], verdict["count"], verdict["choice"] = first, count, choice
    verdict["kept"] = 0
    if choice != NONE:
        verdict["kept"] = keep_best(world.campaigns, candidates, choice, first, desk.best[e])
        if asked.noting[0]:
            chosen = world.campaigns[desk.candidates[choice]["campaign"]]["id"]
            note(ledger.notes, event["row"], chosen, event["now_ms"])
            ledger.blocks.spent[slot_of(ledger.blocks.campaign, chosen)] += 1
    return count


@inlined
def note(notes: Notes, row: int, campaign: int, at_ms: int) -> None:
    """The customer got a coupon of the campaign; there is room."""
    slot = notes.ends[0]
    if slot != NONE:
        notes.ends[0] = notes.following[slot]
    else:
        slot = notes.ends[1]
        notes.ends[1] += 1
    notes.following[slot] = notes.head[row]
    notes.head[row] = slot
    notes.campaign[slot], notes.at_ms[slot] = campaign, at_ms
