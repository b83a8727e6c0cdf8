"""Which campaigns an event calls up, and the first question each of them fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from offers.affinity import Bought, Profile, looked_up, profile
from offers.audience import MARKETING, Consent, belongs
from offers.event import Standing, Trigger
from offers.live import LiveCampaign
from offers.reasons import Reason
from offers.snapshot import ALWAYS, UNKNOWN, Snapshot

LOCATION = int(Consent.LOCATION)
HISTORY = int(Consent.HISTORY)
CROSS_RETAILER = int(Consent.CROSS_RETAILER)


class Candidate(NamedTuple):
    """A campaign at one store that the event touched."""

    campaign: LiveCampaign
    trigger: Trigger
    store: int
    schedule: int
    """Row of `Snapshot.schedules`, or ALWAYS."""
    hours: int
    """Row of `Snapshot.hours`, or UNKNOWN."""
    distance_m: float
    """From the customer to the store."""


class Moment:
    """The snapshot and the standing of one decision; what is asked more than once is worked out once."""

    __slots__ = ("_bought", "_profile", "arriving", "cross_retailer", "now_ms", "searching", "snapshot", "standing")

    def __init__(self, snapshot: Snapshot, standing: Standing) -> None:
        self.snapshot = snapshot
        self.standing = standing
        self.now_ms = standing.now_ms
        self.cross_retailer = bool(standing.consents & CROSS_RETAILER)
        self.searching = _barred(standing, by_phone=False)
        self.arriving = _barred(standing, by_phone=True)
        self._bought: list[Bought] | None = None
        self._profile: Profile | None = None

    @property
    def bought(self) -> list[Bought]:
        """The customer's purchases; none without consent to use them."""
        if self._bought is None:
            allowed = self.standing.consents & HISTORY
            lines = self.standing.history.purchases(self.standing.row) if allowed else []
            self._bought = looked_up(lines, self.snapshot.products)
        return self._bought

    @property
    def profile(self) -> Profile:
        """What the purchases add up to now."""
        if self._profile is None:
            self._profile = profile(self.bought, self.cross_retailer, self.now_ms)
        return self._profile


def candidates(snapshot: Snapshot, triggers: Sequence[Trigger]) -> Iterator[Candidate]:
    """Campaigns of the triggers' fences that wait for just such a trigger; of a dwell or an approach, for that very
    threshold; of a start, those that began."""
    postings = snapshot.postings
    for trigger in triggers:
        fence = trigger.fence
        store, hours = snapshot.fence_store.item(fence), postings.hours.item(fence)
        distance_m = max(0.0, snapshot.fences.radius_m.item(fence) + trigger.edge_m)
        for m in range(postings.ptr.item(fence), postings.ptr.item(fence + 1)):
            campaign = snapshot.campaigns[postings.campaign.item(m)]
            if _waits(campaign, trigger):
                yield Candidate(campaign, trigger, store, postings.schedule.item(m), hours, distance_m)


def _waits(campaign: LiveCampaign, trigger: Trigger) -> bool:
    """Whether the campaign waits for just such a trigger. At its own start it meets who has entered already, and who
    has dwelt for as long as it asks; who has not yet will come due."""
    if trigger.kind == "start":
        met = campaign.trigger == "enter" or (campaign.trigger == "dwell" and campaign.dwell_s <= trigger.dwell_s)
        return met and campaign.id in trigger.started
    threshold_s = campaign.lead_s if trigger.kind == "approach" else campaign.dwell_s
    timed = trigger.kind in ("dwell", "approach")
    return campaign.trigger == trigger.kind and (not timed or threshold_s == trigger.dwell_s)


def reason(candidate: Candidate, moment: Moment) -> Reason | None:
    """The first reason, in the order of `Reason`, that holds the candidate; None if none does."""
    return (
        _by_dates(candidate.campaign, moment)
        or (moment.searching if candidate.trigger.kind == "search" else moment.arriving)
        or _by_place(candidate, moment)
        or _by_history(candidate.campaign, moment)
        or _by_stock(candidate, moment)
    )


def _by_dates(campaign: LiveCampaign, moment: Moment) -> Reason | None:
    if campaign.id in moment.standing.stopped:
        return Reason.STOPPED
    if moment.now_ms < campaign.starts_ms:
        return Reason.NOT_STARTED
    return Reason.ENDED if moment.now_ms >= campaign.ends_ms else None


def _barred(standing: Standing, by_phone: bool) -> Reason | None:
    """What holds every offer of the event. A search names its place itself; the others follow the phone."""
    if standing.stale:
        return Reason.STALE_EVENT
    if by_phone and standing.after_reset:
        return Reason.AFTER_RESET
    if by_phone and not standing.consents & LOCATION:
        return Reason.NO_LOCATION_CONSENT
    return None if standing.consents & MARKETING else Reason.NO_MARKETING_CONSENT


def _by_place(candidate: Candidate, moment: Moment) -> Reason | None:
    """The search, the campaign's hours and the store's, at this store."""
    campaign, trigger, snapshot, now_ms = candidate.campaign, candidate.trigger, moment.snapshot, moment.now_ms
    if trigger.kind == "search" and (trigger.search is None or not campaign.search.meets(trigger.search)):
        return Reason.SEARCH_MISMATCH
    if candidate.schedule != ALWAYS and not snapshot.schedules.covers(candidate.schedule, now_ms):
        return Reason.OUTSIDE_SCHEDULE
    if not campaign.only_while_open:
        return None
    if candidate.hours == UNKNOWN or not snapshot.from_ms <= now_ms < snapshot.until_ms:
        return Reason.HOURS_UNKNOWN
    return None if snapshot.hours.covers(candidate.hours, now_ms) else Reason.STORE_CLOSED


def _by_history(campaign: LiveCampaign, moment: Moment) -> Reason | None:
    audience = campaign.audience
    if audience is None:
        return None
    if not moment.standing.consents & HISTORY:
        return Reason.NO_HISTORY_CONSENT
    if belongs(audience, campaign.retailer, moment.bought, moment.cross_retailer, moment.now_ms):
        return None
    return Reason.NOT_IN_AUDIENCE


def _by_stock(candidate: Candidate, moment: Moment) -> Reason | None:
    """What the customer has had and what the campaign has left."""
    campaign, trigger, standing = candidate.campaign, candidate.trigger, moment.standing
    # A visit gets one coupon of a campaign at most, also of one that was paused meanwhile and began again.
    if trigger.kind == "start" and standing.caps.count(standing.row, campaign.id, trigger.since_ms - 1):
        return Reason.CAP_REACHED
    had = standing.caps.count(standing.row, campaign.id, moment.now_ms - campaign.cap_ms)
    if had >= campaign.cap_coupons:
        return Reason.CAP_REACHED
    return None if standing.blocks.left(campaign.id) > 0 else Reason.BUDGET_EXHAUSTED
