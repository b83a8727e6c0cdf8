"""A decision and everything its transaction writes, as plain values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

import xxhash

from engine.log.transitions import Told
from geo.arrays import Records
from offers.decide import Held
from offers.live import LiveCampaign
from offers.silences import Silences


@dataclass(frozen=True, slots=True)
class Decision:
    """One offer chosen for one customer at one event. Times in epoch milliseconds; *cell* is an H3 cell of res 7."""

    id: UUID
    number: int
    consents: int
    position: int
    trigger: str
    occasion: UUID
    campaign: LiveCampaign
    store: int
    cell: int
    event_at_ms: int
    logged_ms: int
    terms: dict[str, float | int]
    held: tuple[Held, ...]
    """The other candidates that came farthest (`offers.decide.BEST`); all of them are in the tally."""

    @property
    def coupon(self) -> UUID:
        """The coupon's id, derived from the decision's so that both are written or neither."""
        return derived(self.id, "coupon")

    @property
    def valid_until_ms(self) -> int:
        """End of the coupon: the offer's life, but never past the campaign."""
        life_ms = self.campaign.offer.valid_for_s * 1000
        return min(self.logged_ms + life_ms, self.campaign.ends_ms)


@dataclass
class StepResult:
    """What `step` found out about a run of entries of one partition; `commit` writes it."""

    decisions: list[Decision] = field(default_factory=list)
    counted: Counter[tuple[int, str]] = field(default_factory=Counter)
    """(campaign or 0, name) → count, of what was done."""
    silences: Silences = field(default_factory=Silences)
    """And of what was held back."""
    refunds: list[tuple[UUID, int]] = field(default_factory=list)
    """(decision, campaign) of outcome facts: budget and cap go back."""
    returned: Counter[int] = field(default_factory=Counter)
    """campaign → coupons of the block given back to the budget."""
    starved: set[int] = field(default_factory=set)
    """Campaigns that held an offer back because the block was spent."""
    low: set[int] = field(default_factory=set)
    """Campaigns whose block will be spent soon."""
    visits: list[Records] = field(default_factory=list)
    """Each VISITED[n] (`geo.records`): visits that ended, once no late ping can change them."""

    transitions: list[Told] = field(default_factory=list)
    """For who subscribes; the cycle takes them out after each step."""

    @property
    def tally(self) -> Counter[tuple[int, str]]:
        """(campaign or 0, name) → count, of all that happened."""
        held = {(campaign, f"reason.{reason.value}"): n for campaign, reason, n in self.silences.items()}
        return self.counted + Counter(held)

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for the commit (a phone, a budget)."""
        return bool(self.decisions or self.refunds or self.returned)


def derived(*parts: object) -> UUID:
    """A UUID that is a function of *parts*: xxh3-128 of their text, joined by a byte no id may contain.

    Marked as RFC 9562 version 8, which Python 3.11's own constructor does not know."""
    text = "\0".join(part.hex if isinstance(part, UUID) else str(part) for part in parts)
    raw = bytearray(xxhash.xxh3_128_digest(text.encode()))
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return UUID(bytes=bytes(raw))
