"""The claim: may this message still go out? Asked of the row that the lease's own statement read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from engine.channels.push import Push
from engine.sender.retry import Attempt, Status

MARKETING_PUSH = 4
MARKETING_INAPP = 8
_CONSENT = {"fcm": MARKETING_PUSH, "inapp": MARKETING_INAPP}


@dataclass(frozen=True, slots=True)
class Claim:
    """One leased message and all that its sending rests on. Times in epoch milliseconds of the engine's clock."""

    id: UUID
    decision: UUID
    customer: int
    campaign: int
    title: str = field(repr=False)
    body: str = field(repr=False)
    attempts: int
    ambiguous: bool
    expires_ms: int
    first_tried_ms: int
    consents: int
    campaign_state: str
    stopped: bool
    coupon: UUID
    coupon_state: str
    store: int
    device: int | None
    registration: str | None = field(repr=False)
    kind: Literal["token", "fid"] | None

    @property
    def attempt(self) -> Attempt:
        """This attempt, as the retry rules see it."""
        return Attempt(self.attempts + 1, self.first_tried_ms, self.ambiguous)

    def push(self) -> Push:
        """What the channel sends; the app fetches the coupon's code itself, so no code travels through a vendor."""
        assert self.registration is not None
        assert self.kind is not None
        return Push(
            message_id=self.id,
            decision_id=self.decision,
            registration=self.registration,
            kind=self.kind,
            title=self.title,
            body=self.body,
            data={"decision": str(self.decision), "coupon": str(self.coupon), "store": str(self.store)},
            expires_ms=self.expires_ms,
        )


def claim_of(row: Any) -> Claim:
    """The record of a row of `lease_due`."""
    return Claim(**dict(row))


def refusal(claim: Claim, channel: str, now_ms: int) -> tuple[Status, str] | None:
    """Why the message must not go out, or None. Checks in order: person, retailer, time, means."""
    questions = (
        (not claim.consents & _CONSENT[channel], Status.SUPPRESSED, "no_consent"),
        (claim.stopped, Status.SUPPRESSED, "campaign_stopped"),
        (claim.campaign_state != "live", Status.SUPPRESSED, f"campaign_{claim.campaign_state}"),
        (claim.coupon_state != "issued", Status.SUPPRESSED, f"coupon_{claim.coupon_state}"),
        (claim.expires_ms <= now_ms, Status.EXPIRED, "offer_over"),
        (channel == "fcm" and claim.registration is None, Status.FAILED, "no_registration"),
    )
    return next(((status, why) for asked, status, why in questions if asked), None)
