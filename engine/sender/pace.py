"""The pace of all senders of a project together: what may go now, and when to ask again. Pure; time is an argument.

One bucket of tokens for all lanes, filled at the pace; a lane leaves a share of it to those before it. Bulk has a
second bucket whose rate rises from nothing over the ramp, and stays clear of the quarters of an hour; a campaign with a
rate of its own has a third. `pace.lua` does the same arithmetic in Valkey, where the senders share it, and a property
test holds both together; here it serves a sender that Valkey has left alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.sender.lanes import LEFT, Lane

BURST_S = 0.25
"""Tokens of so many seconds are kept at most."""
IDLE_MS = 30_000
"""Bulk that rested for longer begins its ramp anew."""
QUARTER_MS = 15 * 60 * 1000
LEAST_WAIT_MS = 5
MOST_WAIT_MS = 1000
LEAST_ROOM = 2.0
"""Messages that the common bucket has room for however slow it is filled: one, and what any lane must leave of it."""
LUMP_S = 0.02
"""A lane that found nothing waits for the tokens of so long."""


@dataclass(frozen=True, slots=True)
class Ask:
    """*want* messages of *lane*; `campaign_rate` is that of the campaign they belong to, 0 for none."""

    lane: Lane
    want: int
    campaign: int = 0
    campaign_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Grant:
    """`count` may go; with none, ask again after `wait_ms`. `paused`: the project itself was told to wait."""

    count: int
    wait_ms: int = 0
    paused: bool = False


@dataclass(slots=True)
class Filling:
    """One bucket. `tokens` were there at `at_ms`."""

    tokens: float = 0.0
    at_ms: int = 0

    def fill(self, rate: float, now_ms: int, least: float = 1.0) -> None:
        """Add what *rate* a second brought since, up to the burst, but there is room for *least*."""
        if self.at_ms:
            self.tokens += rate * max(0, now_ms - self.at_ms) / 1000
        self.tokens = min(self.tokens, max(least, rate * BURST_S))
        self.at_ms = max(self.at_ms, now_ms)


@dataclass(slots=True)
class Pace:
    """The state that senders share. Rates are messages a second."""

    rate: float
    ramp_ms: int
    main: Filling = field(default_factory=Filling)
    bulk: Filling = field(default_factory=Filling)
    bulk_since_ms: int = 0
    campaigns: dict[int, Filling] = field(default_factory=dict)
    paused_until_ms: int = 0

    def pause(self, until_ms: int) -> None:
        """Nothing goes before *until_ms*; an earlier end changes nothing."""
        self.paused_until_ms = max(self.paused_until_ms, until_ms)

    def take(self, ask: Ask, now_ms: int) -> Grant:
        """Tokens for *ask*, taken from every bucket it concerns."""
        if now_ms < self.paused_until_ms:
            return Grant(0, min(MOST_WAIT_MS, self.paused_until_ms - now_ms), True)
        self.main.fill(self.rate, now_ms, LEAST_ROOM)
        left = LEFT[ask.lane] * max(LEAST_ROOM, self.rate * BURST_S)
        limits = [(self.main, self.rate, left)]
        if ask.lane is Lane.BULK:
            ramped = self._ramped(now_ms)  # may begin another bucket
            self.bulk.fill(ramped, now_ms)
            limits.append((self.bulk, ramped, 0.0))
        if ask.campaign_rate > 0:
            mine = self.campaigns.setdefault(ask.campaign, Filling(1.0, now_ms))
            mine.fill(ask.campaign_rate, now_ms)
            limits.append((mine, ask.campaign_rate, 0.0))
        count = min(ask.want, *(max(0, int(one.tokens - kept)) for one, _, kept in limits))
        for one, _, _ in limits:
            one.tokens -= count
        return Grant(count) if count else Grant(0, max(_wait_ms(*limit) for limit in limits))

    def _ramped(self, now_ms: int) -> float:
        if now_ms - self.bulk.at_ms > IDLE_MS:
            self.bulk_since_ms, self.bulk = now_ms, Filling(0.0, now_ms)
        risen = 1.0 if self.ramp_ms <= 0 else min(1.0, (now_ms - self.bulk_since_ms) / self.ramp_ms)
        return self.rate * risen


def _wait_ms(one: Filling, rate: float, kept: float) -> int:
    """Until there are the tokens of `LUMP_S`, one at least, above what is kept."""
    missing = max(1.0, rate * LUMP_S) - max(0.0, one.tokens - kept)
    if missing <= 0:
        return LEAST_WAIT_MS
    if rate <= 0:
        return LEAST_WAIT_MS * 10  # a ramp at its foot
    return max(LEAST_WAIT_MS, min(MOST_WAIT_MS, int(missing * 1000 / rate) + 1))


def quarter_wait_ms(now_ms: int, guard_ms: int) -> int:
    """How long bulk must wait at *now_ms* to stay clear of :00, :15, :30 and :45 by *guard_ms*; 0 when it may go."""
    within = now_ms % QUARTER_MS
    if guard_ms <= 0 or guard_ms <= within < QUARTER_MS - guard_ms:
        return 0
    return guard_ms - within if within < guard_ms else QUARTER_MS - within + guard_ms
