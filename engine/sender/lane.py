"""The push lane: claims as many messages as it has free slots, sends each at once, writes what came of it.

A slot's message is checked against consent, stop and expiry in the statement that claims it, and its bytes are written
right after; what could not be written within a quarter of a second goes back and is claimed, and checked, anew.
"""

from __future__ import annotations

import asyncio
import random
import time

import structlog

from engine import telemetry
from engine.channels.push import Channel, Outcome, Verdict
from engine.clock import Clock
from engine.sender.claim import Claim, refusal
from engine.sender.outbox import Ended, Outbox
from engine.sender.retry import Again, Settle, next_step, withheld

log = structlog.get_logger()

SLOTS = 90
"""Messages in flight at once: one HTTP/2 connection's streams (100) with room to spare."""
FRESH_S = 0.25
"""A claim older than this is not written any more: consent may have changed since."""
GATHER_S = 0.01
STOPPED_LANE_S = 60.0

_SENT = telemetry.counter("sender_messages", "messages that ended", ["state"])
_TOOK = telemetry.histogram("sender_push_seconds", "one attempt, claim to answer")

_DEAD = {Verdict.DEAD_REGISTRATION: "quarantined", Verdict.REMOVED: "removed"}


class Lane:
    """One channel's messages, from lease to recorded outcome."""

    def __init__(self, outbox: Outbox, channel: Channel, clock: Clock, *, channel_name: str = "fcm") -> None:
        self._outbox = outbox
        self._channel = channel
        self._clock = clock
        self._name = channel_name
        self._flying: set[asyncio.Task[None]] = set()
        self._ended: list[Ended] = []
        self._again: list[tuple[Claim, Again]] = []
        self._paused_until = 0.0
        self._random = random.Random()  # noqa: S311  # jitter, not a secret

    @property
    def free(self) -> int:
        """Slots that could take a message now."""
        return 0 if time.monotonic() < self._paused_until else SLOTS - len(self._flying)

    async def pull(self) -> int:
        """Claim messages for the free slots and start them; answer how many were claimed."""
        if self.free <= 0:
            return 0
        claimed_at = time.monotonic()
        claims = await self._outbox.lease(self._name, self.free)
        for claim in claims:
            task = asyncio.create_task(self._one(claim, claimed_at))
            self._flying.add(task)
            task.add_done_callback(self._flying.discard)
        return len(claims)

    async def record(self) -> None:
        """Write the outcomes gathered since the last time."""
        ended, self._ended = self._ended, []
        again, self._again = self._again, []
        try:
            await self._outbox.settle(ended)
            ended = []
            await self._outbox.requeue([(claim.id, step) for claim, step in again])
        except BaseException:
            self._ended, self._again = ended + self._ended, again + self._again
            raise

    @property
    def unrecorded(self) -> bool:
        """Whether outcomes wait to be written."""
        return bool(self._ended or self._again)

    async def land(self, deadline_s: float) -> None:
        """Wait for what is in flight, at most *deadline_s*."""
        if self._flying:
            await asyncio.wait(set(self._flying), timeout=deadline_s)

    async def _one(self, claim: Claim, claimed_at: float) -> None:
        now_ms = self._clock.now_ms()
        refused = refusal(claim, self._name, now_ms)
        if refused is not None:
            status, reason = refused
            self._end(claim, Ended(claim.id, withheld(claim.attempt, status), reason))
        elif time.monotonic() - claimed_at > FRESH_S or time.monotonic() < self._paused_until:
            self._again.append((claim, Again(now_ms, charged=False, ambiguous=claim.ambiguous)))
        else:
            with _TOOK.time():
                outcome = await self._channel.send(claim.push(), now_ms)
            await self._heed(claim, outcome, now_ms)

    async def _heed(self, claim: Claim, outcome: Outcome, leased_ms: int) -> None:
        """What the answer means for the message, the registration, the campaign and the lane."""
        jitter = self._random.uniform(0.5, 1.5)
        step = next_step(claim.attempt, outcome, self._clock.now_ms(), claim.expires_ms, jitter)
        if isinstance(step, Settle):
            self._end(claim, Ended(claim.id, step.status, outcome.detail, outcome.provider_id))
        else:
            self._again.append((claim, step))
        if outcome.verdict in _DEAD:
            await self._outbox.dead_device(claim, _DEAD[outcome.verdict], leased_ms)
        elif outcome.verdict is Verdict.PAYLOAD_FAULT:
            if await self._outbox.stop_campaign(claim.campaign):
                log.error("campaign.stopped_by_provider", campaign=claim.campaign, detail=outcome.detail)
        elif outcome.verdict is Verdict.LANE_PAUSE:
            self._pause(outcome.retry_after_s or STOPPED_LANE_S, "quota", outcome.detail)
        elif outcome.verdict is Verdict.LANE_STOP:
            self._pause(STOPPED_LANE_S, "configuration", outcome.detail)

    def _end(self, claim: Claim, ended: Ended) -> None:
        self._ended.append(ended)
        _SENT.labels(ended.status.value).inc()

    def _pause(self, for_s: float, why: str, detail: str) -> None:
        self._paused_until = max(self._paused_until, time.monotonic() + for_s)
        log.warning("lane.paused", lane=self._name, for_s=for_s, why=why, detail=detail)
