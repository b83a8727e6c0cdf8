"""One event after the other: its candidates, what holds each, the best of the rest; noted before the next is asked."""

from __future__ import annotations

from geo.kernels import fetch, inlined, kernel
from offers.consent import CROSS_RETAILER, HISTORY
from offers.kernels.bought import forget, remember, tell
from offers.kernels.hashing import expect, home, slot_of
from offers.kernels.questions import Moment, barred, held_early, held_late, mask_of, opened, waits
from offers.kernels.ranking import better, farther, keep_best
from offers.kernels.records import (
    MICRO,
    NONE,
    PASSED,
    Asked,
    Desk,
    Ledger,
    Notes,
    Rows,
    World,
    rank,
)
from offers.kernels.silences import count, roomy
from offers.kernels.wanted import expect_row
from offers.reasons import Reason

_AHEAD = 8
"""Candidates between asking for a line of memory and reading it."""
_OUTRANKED = rank(Reason.OUTRANKED)


@kernel
def take(world: World, ledger: Ledger, asked: Asked, desk: Desk, start: int) -> int:
    """Decide the events from *start* on. How many there are, or the one before which it stopped: a customer bought more
    than the desk has room for, or there is no room to count its silences. There is room for all candidates that the
    events' fences can have, and for a note of each event."""
    filled = 0
    if start:
        filled = desk.verdicts[start - 1]["first"] + desk.verdicts[start - 1]["count"]
    for e in range(start, len(asked.events)):
        event, verdict = asked.events[e], desk.verdicts[e]
        if not roomy(desk.silences, _most(world, asked, event)):
            return e
        known = _known(world, ledger, event, desk)
        if known < 0:
            return e
        met = _meet(world, asked, event, desk.candidates[filled:])
        _ask(world, ledger, asked, (event, desk, known), desk.candidates[filled : filled + met])
        if event["triggers"] > 1:
            met = _once(desk, desk.candidates[filled : filled + met])
        candidates = desk.candidates[filled : filled + met]
        choice = _best(world, event, desk, known, candidates)
        verdict["first"], verdict["count"], verdict["choice"], verdict["kept"] = filled, met, NONE, 0
        count(desk.silences, world.campaigns, candidates, choice, _OUTRANKED)
        if choice != NONE:
            verdict["choice"] = filled + choice
            verdict["kept"] = keep_best(world.campaigns, candidates, choice, desk.best[e])
            for k in range(verdict["kept"]):
                desk.best[e, k] += filled
            if asked.noting[0]:
                chosen = world.campaigns[candidates[choice]["campaign"]]["id"]
                note(ledger.notes, event["row"], chosen, event["now_ms"])
                ledger.blocks[slot_of(ledger.blocks, chosen)]["spent"] += 1
        filled += met
    return len(asked.events)


@inlined
def _most(world: World, asked: Asked, event: Rows) -> int:
    """How many candidates the event can have."""
    most = 0
    for t in range(event["trigger"], event["trigger"] + event["triggers"]):
        fence = asked.triggers[t]["fence"]
        most += world.ptr[fence + 1] - world.ptr[fence]
    return most


@inlined
def _known(world: World, ledger: Ledger, event: Rows, desk: Desk) -> int:
    """How many products the customer bought, written to the desk; none without consent to use them; -1: no room."""
    if not event["consents"] & HISTORY:
        forget(desk.past)
        return 0
    return remember(world, ledger.lines, event["row"], event["now_ms"], desk.past)


@inlined
def _meet(world: World, asked: Asked, event: Rows, candidates: Rows) -> int:
    """Write who waits for the triggers, with the reason by dates, consent and place; how many."""
    met = 0
    for t in range(event["trigger"], event["trigger"] + event["triggers"]):
        trigger = asked.triggers[t]
        fence = trigger["fence"]
        distance_m = max(0.0, world.radius_m[fence] + trigger["edge_m"])
        open_now = opened(world, world.fence_hours[fence], event["now_ms"])
        moment = Moment(event, trigger, barred(event, trigger["kind"]), open_now)
        end = world.ptr[fence + 1]
        for m in range(world.ptr[fence], end):
            if m + _AHEAD < end:
                fetch(world.campaigns, world.campaign[m + _AHEAD])
            place = world.campaign[m]
            campaign = world.campaigns[place]
            if waits(campaign, place, trigger, asked.begun_ms):
                one = candidates[met]
                one["campaign"], one["store"], one["trigger"] = place, world.fence_store[fence], t
                one["reason"] = held_early(world, asked, moment, campaign, world.schedule[m])
                one["distance_m"] = distance_m
                met += 1
    return met


@inlined
def _ask(world: World, ledger: Ledger, asked: Asked, which: tuple[Rows, Desk, int], candidates: Rows) -> None:
    """Ask the candidates that nothing holds yet what the customer bought and has had, and what is left."""
    event, desk, known = which
    mask = mask_of(ledger.notes, event["row"])
    for k in range(-_AHEAD, len(candidates)):
        if k + _AHEAD < len(candidates) and candidates[k + _AHEAD]["reason"] == PASSED:
            soon = world.campaigns[candidates[k + _AHEAD]["campaign"]]
            expect_row(world.wanted, soon["wanted"])
            expect(ledger.blocks, soon["id"])
        if k >= 0 and candidates[k]["reason"] == PASSED:
            one = candidates[k]
            campaign, trigger = world.campaigns[one["campaign"]], asked.triggers[one["trigger"]]
            one["reason"] = held_late(world, ledger, (event, trigger, campaign), mask, (desk.past, known))


@inlined
def _once(desk: Desk, candidates: Rows) -> int:
    """Of a campaign met at several stores leave the one where it came farthest; how many are left, at the front."""
    places, left = desk.places, 0
    places[:] = NONE
    for k in range(len(candidates)):
        slot = home(len(places), candidates[k]["campaign"])
        while places[slot] != NONE and candidates[places[slot]]["campaign"] != candidates[k]["campaign"]:
            slot = (slot + 1) & (len(places) - 1)
        if places[slot] == NONE:
            places[slot] = left
            candidates[left] = candidates[k]
            left += 1
        elif farther(candidates[k], candidates[places[slot]]):
            candidates[places[slot]] = candidates[k]
    return left


@inlined
def _best(world: World, event: Rows, desk: Desk, known: int, candidates: Rows) -> int:
    """Write the terms of those that nothing holds; which of them is the best, -1 if there is none."""
    choice, cross_retailer = NONE, event["consents"] & CROSS_RETAILER != 0
    for k in range(len(candidates)):
        one = candidates[k]
        if one["reason"] == PASSED:
            tell(world.wanted, world.campaigns[one["campaign"]], desk.past, known, cross_retailer, one)
            total = one["product"] + one["brand"] + one["category"] + one["retailer"]
            one["affinity"] = round(total * MICRO)
            if choice == NONE or better(world.campaigns, one, candidates[choice]):
                choice = k
    return choice


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
