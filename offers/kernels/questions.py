"""The questions asked of a candidate, in the order of `Reason`; the first one failed is the reason that holds it."""

from __future__ import annotations

from typing import NamedTuple

from geo.arrays import Longs
from geo.kernels import inlined, kernel
from offers.consent import CROSS_RETAILER, HISTORY, LOCATION, MARKETING
from offers.intervals import ALWAYS, UNKNOWN
from offers.kernels.bought import belongs
from offers.kernels.hashing import slot_of
from offers.kernels.records import NONE, PASSED, Asked, Flag, Kind, Ledger, Notes, Past, Rows, World, rank
from offers.kernels.wanted import among, answers
from offers.reasons import Reason

_STOPPED, _NOT_STARTED, _ENDED = rank(Reason.STOPPED), rank(Reason.NOT_STARTED), rank(Reason.ENDED)
_STALE, _AFTER_RESET = rank(Reason.STALE_EVENT), rank(Reason.AFTER_RESET)
_NO_LOCATION, _NO_MARKETING = rank(Reason.NO_LOCATION_CONSENT), rank(Reason.NO_MARKETING_CONSENT)
_MISMATCH, _OUTSIDE = rank(Reason.SEARCH_MISMATCH), rank(Reason.OUTSIDE_SCHEDULE)
_HOURS_UNKNOWN, _CLOSED = rank(Reason.HOURS_UNKNOWN), rank(Reason.STORE_CLOSED)
_NO_HISTORY, _NOT_IN_AUDIENCE = rank(Reason.NO_HISTORY_CONSENT), rank(Reason.NOT_IN_AUDIENCE)
_CAP, _BUDGET = rank(Reason.CAP_REACHED), rank(Reason.BUDGET_EXHAUSTED)
_OPEN, _AUDIENCE = int(Flag.OPEN), int(Flag.AUDIENCE)
_ENTER, _DWELL, _SEARCH, _START = int(Kind.ENTER), int(Kind.DWELL), int(Kind.SEARCH), int(Kind.START)


class Moment(NamedTuple):
    """What is the same for all candidates of a trigger."""

    event: Rows
    trigger: Rows
    barred: int
    """What holds every offer of the event, or PASSED."""
    opened: int
    """What holds an offer that asks for an open store, or PASSED."""


@inlined
def barred(event: Rows, kind: int) -> int:
    """What holds every offer. A search names its place itself; the others follow the phone."""
    if event["stale"]:
        return _STALE
    if kind != _SEARCH:
        if event["after_reset"]:
            return _AFTER_RESET
        if not event["consents"] & LOCATION:
            return _NO_LOCATION
    return PASSED if event["consents"] & MARKETING else _NO_MARKETING


@inlined
def opened(world: World, hours: int, now_ms: int) -> int:
    """What holds an offer that asks for an open store."""
    if hours == UNKNOWN or now_ms < world.span[0] or now_ms >= world.span[1]:
        return _HOURS_UNKNOWN
    return PASSED if covers(world.hours, hours, now_ms) else _CLOSED


@kernel
def covers(table: tuple[Longs, Longs, Longs], row: int, at_ms: int) -> bool:
    """Whether *at_ms* lies in an interval of the row of an `IntervalTable`."""
    ptr, starts, ends = table
    first, end = ptr[row], ptr[row + 1]
    at = first
    while at < end:  # the first interval that starts later
        middle = (at + end) >> 1
        if starts[middle] <= at_ms:
            at = middle + 1
        else:
            end = middle
    return bool(at > first and at_ms < ends[at - 1])


@inlined
def mask_of(notes: Notes, row: int) -> int:
    """A bit for each campaign the customer has a coupon of: where it is not set, none need be counted."""
    mask, slot = 0, notes.head[row] if row < len(notes.head) else NONE
    while slot != NONE:
        mask |= 1 << (notes.campaign[slot] & 63)
        slot = notes.following[slot]
    return mask


@kernel
def coupons(notes: Notes, row: int, campaign: int, since_ms: int) -> int:
    """Coupons of the campaign that are later than *since_ms*: with since = now - window, one exactly a window old no
    longer counts."""
    count, slot = 0, notes.head[row] if row < len(notes.head) else NONE
    while slot != NONE:
        if notes.campaign[slot] == campaign and notes.at_ms[slot] > since_ms:
            count += 1
        slot = notes.following[slot]
    return count


@inlined
def waits(campaign: Rows, place: int, trigger: Rows, begun_ms: Longs) -> bool:
    """Whether the campaign waits for just such a trigger, of a dwell or an approach for that very threshold. At its own
    start it meets who has entered already, and who has dwelt for as long as it asks; who has not yet will come due. Who
    is found in a new fence enters it at the start."""
    if trigger["kind"] == _START or campaign["kind"] == _START:
        greets = campaign["kind"] == _START or campaign["kind"] == _ENTER or campaign["kind"] == _DWELL
        met = greets and campaign["dwell_s"] <= trigger["dwell_s"]
        met = met and (trigger["kind"] == _START or trigger["kind"] == _ENTER)
        return bool(met and len(begun_ms) and begun_ms[place] > trigger["last_ms"])
    return bool(campaign["kind"] == trigger["kind"] and campaign["dwell_s"] == trigger["dwell_s"])


@inlined
def held_early(world: World, asked: Asked, moment: Moment, campaign: Rows, schedule: int) -> int:
    """The reason by dates, consent and place, or PASSED."""
    trigger, now_ms = moment.trigger, moment.event["now_ms"]
    if len(asked.stopped) and among(asked.stopped, 0, len(asked.stopped), campaign["id"]):
        return _STOPPED
    if not campaign["starts_ms"] <= now_ms < campaign["ends_ms"]:
        return _NOT_STARTED if now_ms < campaign["starts_ms"] else _ENDED
    if moment.barred != PASSED:
        return moment.barred
    if trigger["kind"] == _SEARCH and not answers(world.wanted, campaign["wanted"], asked, trigger["search"]):
        return _MISMATCH
    if schedule != ALWAYS and not covers(world.schedules, schedule, now_ms):
        return _OUTSIDE
    return moment.opened if campaign["flags"] & _OPEN else PASSED


@inlined
def held_late(world: World, ledger: Ledger, which: tuple[Rows, Rows, Rows], mask: int, past: tuple[Past, int]) -> int:
    """The reason by what the customer bought and has had, and by what the campaign has left, or PASSED. *which*: event,
    trigger, campaign; *mask* is `mask_of` the customer; *past*: and how many products."""
    event, trigger, campaign = which
    now_ms = event["now_ms"]
    if campaign["flags"] & _AUDIENCE:
        if not event["consents"] & HISTORY:
            return _NO_HISTORY
        if not belongs(world.wanted, campaign, past[0], past[1], event["consents"] & CROSS_RETAILER != 0, now_ms):
            return _NOT_IN_AUDIENCE
    if mask >> (campaign["id"] & 63) & 1:
        # A visit gets one coupon of a campaign at most, also of one that was paused meanwhile and began again.
        row, campaign_id = event["row"], campaign["id"]
        if trigger["kind"] == _START and coupons(ledger.notes, row, campaign_id, trigger["since_ms"] - 1):
            return _CAP
        since_ms = now_ms - campaign["cap_s"] * 1000
        if coupons(ledger.notes, row, campaign_id, since_ms) >= campaign["cap_coupons"]:
            return _CAP
    block = ledger.blocks[slot_of(ledger.blocks, campaign["id"])]
    return PASSED if block["granted"] > block["spent"] else _BUDGET
