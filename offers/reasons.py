"""Why an offer was held back: every silence has exactly one of these, counted."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Reason(StrEnum):
    """In the order in which `offers.decide` asks: what concerns everybody first, this customer's rest last."""

    STOPPED = "stopped"
    NOT_STARTED = "not_started"
    ENDED = "ended"
    STALE_EVENT = "stale_event"
    AFTER_RESET = "after_reset"
    NO_LOCATION_CONSENT = "no_location_consent"
    NO_MARKETING_CONSENT = "no_marketing_consent"
    SEARCH_MISMATCH = "search_mismatch"
    OUTSIDE_SCHEDULE = "outside_schedule"
    HOURS_UNKNOWN = "hours_unknown"
    STORE_CLOSED = "store_closed"
    NO_HISTORY_CONSENT = "no_history_consent"
    NOT_IN_AUDIENCE = "not_in_audience"
    CAP_REACHED = "cap_reached"
    BUDGET_EXHAUSTED = "budget_exhausted"
    OUTRANKED = "outranked"

    @property
    def sentence(self) -> str:
        """The reason for a person to read."""
        return SENTENCES[self]

    @property
    def rank(self) -> int:
        """How far a candidate came before this reason held it: 0 is the first question asked."""
        return RANKS[self]


SENTENCES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.STOPPED: "The campaign was stopped by its retailer or by the operator.",
        Reason.NOT_STARTED: "The campaign had not started yet.",
        Reason.ENDED: "The campaign had already ended.",
        Reason.STALE_EVENT: "The report of the phone came too late to be answered.",
        Reason.AFTER_RESET: "The engine had just lost its knowledge of who is where, so a first fix proves no arrival.",
        Reason.NO_LOCATION_CONSENT: "The customer does not allow offers by location.",
        Reason.NO_MARKETING_CONSENT: "The customer does not allow marketing messages on any channel.",
        Reason.SEARCH_MISMATCH: "The search was for something this campaign does not answer.",
        Reason.OUTSIDE_SCHEDULE: "The campaign does not run at this hour on the store's clock.",
        Reason.HOURS_UNKNOWN: "The campaign runs only while the store is open, and its hours are not known.",
        Reason.STORE_CLOSED: "The campaign runs only while the store is open, and it was closed.",
        Reason.NO_HISTORY_CONSENT: "The campaign asks for past purchases, and the customer keeps them private.",
        Reason.NOT_IN_AUDIENCE: "The customer has not bought what the campaign's audience has bought.",
        Reason.CAP_REACHED: "The customer already has as many coupons of this campaign as it allows.",
        Reason.BUDGET_EXHAUSTED: "The campaign has no coupons left to give.",
        Reason.OUTRANKED: "Another offer was the better one for this customer at this moment.",
    }
)
RANKS: Mapping[Reason, int] = MappingProxyType({reason: rank for rank, reason in enumerate(Reason)})
