"""The claim: may this message still go out? Asked of the row that the claim's own statement read."""

from __future__ import annotations

import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from engine.channels.push import Push
from engine.sender.lanes import Lane
from engine.sender.retry import LONGEST_TRY_MS, Attempt, Status
from offers.quiet import is_quiet, next_at

MARKETING_PUSH = 4
MARKETING_INAPP = 8
QUIET_HOURS = "quiet_hours"
FRESH_MS = 250
"""What a claim read is as old as this at most when the bytes are written; quiet hours that begin meanwhile count."""
_CONSENT = {"fcm": MARKETING_PUSH, "inapp": MARKETING_INAPP}


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One claimed message and all that its sending rests on, in the order of the statement `claim`. Times in epoch
    milliseconds of the engine's clock; *first_tried_ms* 0: never tried."""

    day: datetime.date
    chunk: int
    seq: int
    id: UUID
    decision: UUID | None
    customer: int
    campaign: int | None
    lane: str
    title: str | None
    body: str | None
    data: dict[str, str] | None
    expires_ms: int
    attempts: int
    ambiguous: bool
    first_tried_ms: int
    consents: int
    zone: str | None
    quiet_from: int | None
    quiet_until: int | None
    campaign_state: str | None
    stopped: bool | None
    coupon: UUID | None
    coupon_state: str | None
    store: int | None
    device: int | None
    registration: str | None
    kind: Literal["token", "fid"] | None
    platform: str | None

    def __repr__(self) -> str:  # no text, no registration in logs and tracebacks
        return f"Claim({self.chunk}, {self.seq}, {self.id})"

    def attempt(self, now_ms: int) -> Attempt:
        """This attempt, begun at *now_ms*, as the retry rules see it."""
        return Attempt(self.attempts + 1, self.first_tried_ms or now_ms, self.ambiguous)

    def push(self, title: str, body: str) -> Push:
        """What the channel sends; the app fetches the coupon's code itself, so no code travels through a vendor."""
        assert self.registration is not None
        assert self.kind is not None
        if self.decision is None:
            data = self.data or {}
        else:
            data = {"decision": str(self.decision), "coupon": str(self.coupon), "store": str(self.store)}
        return Push(
            message_id=self.id,
            decision_id=self.decision or self.id,
            registration=self.registration,
            kind=self.kind,
            title=title,
            body=body,
            data=data,
            expires_ms=self.expires_ms,
        )


class Refusal(msgspec.Struct, frozen=True):
    """The message must not go out: it ends as *status*, or, *until_ms* given, waits until then."""

    status: Status
    reason: str
    until_ms: int | None = None


def claim_of(row: Any) -> Claim:
    """The record of a row of `claim` or `read_inapp`."""
    return Claim(*row)


def refusal(claim: Claim, channel: str, now_ms: int) -> Refusal | None:
    """Why the message must not go out, or None. Checks in order: person, retailer, time, means.

    A transactional message asks for no consent to marketing and knows no quiet hours: a person waits for it.
    """
    if claim.expires_ms <= now_ms:
        return Refusal(Status.EXPIRED, "offer_over")
    if claim.first_tried_ms and claim.first_tried_ms + LONGEST_TRY_MS <= now_ms:
        return Refusal(Status.FAILED, "hour_over")
    if claim.lane != Lane.TRANSACTIONAL and (why := _unwelcome(claim, channel, now_ms)) is not None:
        return why
    if channel == "fcm" and claim.registration is None:
        return Refusal(Status.FAILED, "no_registration")
    return None


def _unwelcome(claim: Claim, channel: str, now_ms: int) -> Refusal | None:
    if not claim.consents & _CONSENT[channel]:
        return Refusal(Status.SUPPRESSED, "no_consent")
    if claim.stopped:
        return Refusal(Status.SUPPRESSED, "campaign_stopped")
    if claim.campaign_state != "live":
        return Refusal(Status.SUPPRESSED, f"campaign_{claim.campaign_state}")
    if claim.coupon_state != "issued":
        return Refusal(Status.SUPPRESSED, f"coupon_{claim.coupon_state}")
    if channel == "fcm" and claim.quiet_from is not None and _quiet(claim, now_ms):
        return _in_quiet_hours(claim, now_ms)
    return None


def _quiet(claim: Claim, now_ms: int) -> bool:
    times_ms = (now_ms, now_ms + FRESH_MS)
    return any(is_quiet(claim.zone, claim.quiet_from, claim.quiet_until, at_ms) for at_ms in times_ms)


def _in_quiet_hours(claim: Claim, now_ms: int) -> Refusal:
    """What answers a moment is held back, for the moment passes; what is for everybody waits for the morning."""
    if claim.lane == Lane.BULK and claim.zone is not None and claim.quiet_until is not None:
        until_ms = next_at(claim.zone, claim.quiet_until, now_ms)
        if until_ms < claim.expires_ms:
            return Refusal(Status.SUPPRESSED, QUIET_HOURS, until_ms)
    return Refusal(Status.SUPPRESSED, QUIET_HOURS)
