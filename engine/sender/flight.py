"""The flight of one message: is the claim fresh, send it, heed the answer for message, device, campaign and lane."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

from engine.channels.push import Channel, Outcome, Verdict
from engine.clock import Clock
from engine.sender.beyond import BEYOND, DEVICE_STATES, Beyond
from engine.sender.brakes import Brakes
from engine.sender.claim import FRESH_MS, Claim
from engine.sender.lanes import Lane
from engine.sender.outbox import DeadDevice, Ended, Waiting
from engine.sender.recorder import Recorder
from engine.sender.retry import NO_BUDGET_S, Again, Settle, Status, next_step, withheld
from engine.sender.slots import Ready
from engine.sender.stock import Stock

log = structlog.get_logger()

FRESH_S = FRESH_MS / 1000
"""A claim older than this is not written any more: consent may have changed since."""
STOPPED_LANE_S = 60.0
MOST_TEXTS = 1000

_FAULTS = {Verdict.RETRY, Verdict.UNKNOWN}
"""What the breaker counts: the provider failed, or nobody knows."""
_UNCOUNTED = {Verdict.UNPROCESSED, Verdict.EXPIRED, Verdict.LANE_PAUSE, Verdict.LANE_STOP}
"""What says nothing about the provider's health."""


@dataclass
class Tally:
    """What the turn of the concurrency looks at; taken and begun anew by it."""

    answers: int = 0
    faults: int = 0
    throttled: int = 0
    lanes: dict[Lane, int] = field(default_factory=dict)
    ended: dict[Status, int] = field(default_factory=dict)
    took_s: list[float] = field(default_factory=list)


class Flight:
    """Sends claimed messages of all lanes through one channel.

    `on_pause` tells every sender that the project must wait, `on_stop` that a lane (None: all) may send nothing for a
    while, `on_poison` that a campaign's payload is refused."""

    def __init__(
        self,
        channel: Channel,
        clock: Clock,
        recorder: Recorder,
        brakes: Brakes,
        stocks: dict[Lane, Stock],
    ) -> None:
        self._channel = channel
        self._clock = clock
        self._recorder = recorder
        self.brakes = brakes
        self.stocks = stocks
        self._random = random.Random()  # noqa: S311  # jitter, not a secret
        self._poisoned: set[int] = set()
        self.texts: dict[int, tuple[str, str]] = {}
        """Title and body of campaigns whose messages carry none."""
        self.tally = Tally()
        self.stale = dict.fromkeys(stocks, 0)
        """Claims that were too old to be written, by lane; they are claimed anew."""
        self.on_pause: Callable[[float], Coroutine[Any, Any, None]] | None = None
        self.on_stop: Callable[[Lane | None, float], None] | None = None
        self.on_poison: Callable[[int, str], Coroutine[Any, Any, None]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def fly(self, lane: Lane, ready: Ready) -> None:
        """One message, from its claim to its outcome."""
        claim, claimed_s = ready
        began_s = time.monotonic()
        if began_s - claimed_s > FRESH_S:
            self.stale[lane] += 1
            self.stocks[lane].put_back((claim,))
            return
        if self.brakes.share(lane, began_s) == 0.0:
            self.hold(claim, self.brakes.wait_s(lane, began_s), "lane_stopped")
            return
        if (rest_s := self.brakes.rests_s(claim.device, began_s)) > 0:
            self.hold(claim, rest_s, "device_backoff")
            return
        if claim.attempts and not self.brakes.may_retry(lane, began_s):
            self.hold(claim, NO_BUDGET_S * self._random.uniform(0.5, 1.5), "retry_budget")
            return
        now_ms = self._clock.now_ms()
        title, body = (
            self.texts.get(claim.campaign or 0, ("", "")) if claim.title is None else (claim.title, claim.body)
        )
        push = claim.push(title, body or "")
        push.fresh_until_s = claimed_s + FRESH_S
        outcome = await self._channel.send(push, now_ms)
        self._heed(lane, claim, outcome, now_ms - round((began_s - claimed_s) * 1000), began_s)

    def end(self, claim: Claim, status: Status, outcome: Outcome) -> None:
        """The message is over."""
        now_ms = self._clock.now_ms()
        self._recorder.ended(
            Ended(
                claim.day, claim.chunk, claim.seq, status, outcome.detail, outcome.provider_id,
                claim.attempts + 1, now_ms, claim.decision,
            )
        )  # fmt: skip
        self.tally.ended[status] = self.tally.ended.get(status, 0) + 1

    def hold(self, claim: Claim, for_s: float, reason: str) -> None:
        """The message waits, uncharged, in a later chunk; one whose offer is over by then ends at its claim."""
        now_ms = self._clock.now_ms()
        self.wait(claim, Again(now_ms + round(for_s * 1000), charged=False, ambiguous=claim.ambiguous), reason)

    def wait(self, claim: Claim, step: Again, reason: str) -> None:
        """The message is tried again as *step* says."""
        now_ms = self._clock.now_ms()
        first_ms = claim.first_tried_ms or (now_ms if step.charged or step.ambiguous else 0)
        self._recorder.waiting(
            Waiting(
                claim.day, claim.chunk, claim.seq, step.at_ms, claim.attempts + step.charged,
                step.ambiguous or claim.ambiguous, first_ms, reason, now_ms,
            )
        )  # fmt: skip

    def withhold(self, claim: Claim, status: Status, reason: str) -> None:
        """The claim's own check refused it."""
        self.end(claim, withheld(claim.attempt(0), status), Outcome(Verdict.EXPIRED, detail=reason))

    def _heed(self, lane: Lane, claim: Claim, outcome: Outcome, claimed_ms: int, began_s: float) -> None:
        now_s, verdict = time.monotonic(), outcome.verdict
        self._count(lane, verdict, now_s, now_s - began_s)
        if not claim.attempts:
            self.brakes.budgets[lane].first()
        if verdict is Verdict.SENT:
            self.end(claim, Status.SENT, outcome)
            return
        jitter = self._random.uniform(0.5, 1.5)
        now_ms = self._clock.now_ms()
        step = next_step(claim.attempt(now_ms), outcome, now_ms, claim.expires_ms, jitter)
        if isinstance(step, Settle):
            self.end(claim, step.status, outcome)
        else:
            self.wait(claim, step, outcome.detail)
        self._beyond(lane, claim, outcome, claimed_ms, now_s)

    def _beyond(self, lane: Lane, claim: Claim, outcome: Outcome, claimed_ms: int, now_s: float) -> None:
        """What the answer means for others than the message."""
        what, wait_s = BEYOND[outcome.verdict], outcome.retry_after_s or STOPPED_LANE_S
        if what in DEVICE_STATES and claim.device is not None and claim.registration is not None:
            self._recorder.dead(DeadDevice(claim.device, claim.registration, DEVICE_STATES[what], claimed_ms))
        elif what is Beyond.STOP_CAMPAIGN and claim.campaign is not None:
            self._poison(claim.campaign, outcome.detail)
        elif what is Beyond.PAUSE_LANES:
            self._stop(None, wait_s, "quota", outcome.detail)
            if self.on_pause is not None:
                self._start(self.on_pause(wait_s))
        elif what is Beyond.STOP_LANES:
            self._stop(None, STOPPED_LANE_S, "configuration", outcome.detail)
        elif what is Beyond.CLOSE_PLATFORM and claim.platform is not None:
            if self.brakes.close(claim.platform, now_s):
                log.error("platform.closed", platform=claim.platform, detail=outcome.detail)
        elif what is Beyond.REST_DEVICE and claim.device is not None:
            self.brakes.rest(claim.device, now_s + wait_s, now_s)

    def _count(self, lane: Lane, verdict: Verdict, now_s: float, took_s: float) -> None:
        tally = self.tally
        tally.answers += 1
        tally.lanes[lane] = tally.lanes.get(lane, 0) + 1
        tally.took_s.append(took_s)
        if verdict in _UNCOUNTED:
            tally.throttled += verdict is Verdict.LANE_PAUSE
            return
        failed = verdict in _FAULTS
        tally.faults += failed
        if self.brakes.breakers[lane].note(failed, now_s):
            log.error("lane.broken", lane=lane.value, for_s=self.brakes.breakers[lane].opens_in_s(now_s))
            if self.on_stop is not None:
                self.on_stop(lane, self.brakes.wait_s(lane, now_s))

    def _stop(self, lane: Lane | None, for_s: float, why: str, detail: str) -> None:
        self.brakes.stop(time.monotonic() + for_s)
        log.warning("lane.paused", lane="fcm", for_s=for_s, why=why, detail=detail)
        if self.on_stop is not None:
            self.on_stop(lane, for_s)

    def _poison(self, campaign: int, detail: str) -> None:
        if campaign in self._poisoned or self.on_poison is None:
            return
        self._poisoned.add(campaign)
        self._start(self.on_poison(campaign, detail))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
