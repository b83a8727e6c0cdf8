"""Messages' lives by a fake clock: the sender's pure decisions put together, and what must hold of all they write.

A world is some dozens of messages, one pace, one retry budget and a heap of what comes due; nothing sleeps and nobody
answers but chance. The judge looks at the writes alone and reads the person's clock in its own way.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from uuid import UUID
from zoneinfo import ZoneInfo

from engine.channels.fcm_payload import MOST_TTL_S, ttl_s
from engine.channels.push import Outcome, Verdict
from engine.sender.breaker import Breaker
from engine.sender.claim import FRESH_MS, Claim, refusal
from engine.sender.lanes import LANES, Lane
from engine.sender.pace import BURST_S, IDLE_MS, LEAST_ROOM, Ask, Pace, quarter_wait_ms
from engine.sender.retry import LONGEST_TRY_MS, MOST_ATTEMPTS, Again, RetryBudget, Settle, Status, next_step, withheld

ZONES = (
    "Europe/Helsinki", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Chatham", "UTC",
    "Africa/Casablanca", "America/St_Johns",
)  # fmt: skip
GUARD_MS = 120_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
BUDGET_WAIT_MS = 10_000
BUSY_MS = 30_000
ANSWERS = [
    *[Verdict.SENT] * 6, *[Verdict.RETRY] * 3, *[Verdict.UNKNOWN] * 3, *[Verdict.UNPROCESSED] * 2,
    *[one for one in Verdict if one not in {Verdict.EXPIRED, Verdict.PAYLOAD_FAULT}],
]  # fmt: skip
_DAY = date(2026, 1, 1)


@cache
def leaps_ms() -> tuple[int, ...]:
    """When a clock of `ZONES` jumps, 2026 to 2028 (epoch ms)."""
    found = []
    first = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    for zone in ZONES:
        for day in range(3 * 365):
            from_s = first + day * 86_400
            if _offset(zone, from_s) != _offset(zone, from_s + 86_400):
                low, high = from_s, from_s + 86_400
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if _offset(zone, middle) == _offset(zone, from_s) else (low, middle)
                found.append(high * 1000)
    return tuple(found)


def _offset(zone: str, at_s: int) -> timedelta | None:
    return datetime.fromtimestamp(at_s, ZoneInfo(zone)).utcoffset()


@dataclass(slots=True)
class Life:
    """One message: what its claims read, when that changes, and what was written of it."""

    claim: Claim
    revoked_ms: float
    stopped_ms: float
    attempts: int = 0
    ambiguous: bool = False
    first_ms: int = 0
    not_before_ms: int = 0
    doubted: bool = False
    writes: list[int] = field(default_factory=list)
    end: Status | None = None
    waited_for_morning: bool = False

    def now(self, at_ms: int) -> Claim:
        """The claim as its statement reads it at *at_ms*."""
        one = self.claim
        return Claim(
            _DAY, 1, 1, one.id, one.decision, 1, 1, one.lane, "t", "b", None, one.expires_ms, self.attempts,
            self.ambiguous, self.first_ms, 0 if at_ms >= self.revoked_ms else 12, one.zone, one.quiet_from,
            one.quiet_until, "live", at_ms >= self.stopped_ms, one.id, "issued", 1, 1, "r", "token", "android",
        )  # fmt: skip


class World:
    """Lives that share a pace. `tried` counts what was attempted and prevented."""

    def __init__(self, seed: int, lives: int) -> None:
        self.chance = random.Random(seed)
        chance = self.chance
        middle_ms = (
            chance.choice(leaps_ms())
            if chance.random() < 0.6
            else chance.randrange(1_767_225_600, 1_861_920_000) * 1000
        )
        self.begin_ms = middle_ms + chance.randrange(-2 * HOUR_MS, 2 * HOUR_MS)
        self.pace = Pace(chance.choice([0.5, 5.0, 50.0]), chance.choice([0, 60_000]))
        self.budget, self.breaker = RetryBudget(), Breaker()
        self.now_ms = self.begin_ms
        self.tried: Counter[str] = Counter()
        self.asks: list[tuple[int, Lane, int]] = []
        """(when, lane, granted)."""
        self.due = [(self.begin_ms + chance.randrange(3 * MINUTE_MS), n) for n in range(lives)]
        self.lives = [self._born(due_ms) for due_ms, _ in self.due]
        heapq.heapify(self.due)

    def run(self) -> None:
        """Until every message has ended."""
        while self.due:
            self.now_ms, n = heapq.heappop(self.due)
            again_ms = self._turn(self.lives[n])
            if again_ms is not None:
                heapq.heappush(self.due, (max(again_ms, self.now_ms + 1), n))

    def _born(self, due_ms: int) -> Life:
        chance = self.chance
        zone = None if chance.random() < 0.05 else chance.choice(ZONES)
        starts: int | None = None
        ends: int | None = None
        if chance.random() < 0.7:  # quiet hours, often about to begin or to end
            wall = datetime.fromtimestamp(self.begin_ms / 1000, ZoneInfo(zone or "UTC"))
            near = (wall.hour * 60 + wall.minute + chance.randrange(-5, 6)) % 1440
            far = (near + chance.choice([1, 5, 60, 540, 900])) % 1440
            starts, ends = (near, far) if chance.random() < 0.5 else (far, near)
        life_ms = chance.choice([0, 250, 5_000, MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, HOUR_MS, 12 * HOUR_MS])
        claim = Claim(
            _DAY, 1, 1, UUID(int=1), UUID(int=2), 1, 1, chance.choice(LANES), "t", "b", None,
            due_ms + chance.randrange(life_ms + 1), 0, False, 0, 12, zone, starts, ends, "live", False, None,
            "issued", 1, 1, "r", "token", "android",
        )  # fmt: skip
        revoked_ms = due_ms + chance.randrange(10 * MINUTE_MS) if chance.random() < 0.2 else math.inf
        stopped_ms = due_ms + chance.randrange(10 * MINUTE_MS) if chance.random() < 0.2 else math.inf
        return Life(claim, revoked_ms, stopped_ms)

    def _turn(self, life: Life) -> int | None:
        """What the feeder and the flight do with a message that is due; when it is due again."""
        now_ms, lane = self.now_ms, Lane(life.claim.lane)
        if lane is Lane.BULK and (wait_ms := quarter_wait_ms(now_ms, GUARD_MS)):
            self.tried["quarter"] += 1
            return now_ms + wait_ms
        grant = self.pace.take(Ask(lane, 1), now_ms)
        if not grant.paused:
            self.asks.append((now_ms, lane, grant.count))
        if not grant.count:
            self.tried["pace"] += 1
            # The feeder asks for all of a lane at once; here each message does, so none may ask too often.
            return max(now_ms + grant.wait_ms + self.chance.randrange(BUSY_MS), self.pace.paused_until_ms)
        claim = life.now(now_ms)
        why = refusal(claim, "fcm", now_ms)
        if why is not None:
            self.tried[why.reason] += 1
            if why.until_ms is None:
                life.end = withheld(claim.attempt(0), why.status)
            else:
                life.waited_for_morning, life.first_ms = True, 0
            return why.until_ms
        if life.attempts and not self.budget.allows(self.breaker.failing(now_ms / 1000)):
            self.tried["budget"] += 1
            return now_ms + round(BUDGET_WAIT_MS * self.chance.uniform(0.5, 1.5))
        return self._write(life, claim, now_ms + self.chance.randrange(FRESH_MS + 1))

    def _write(self, life: Life, claim: Claim, at_ms: int) -> int | None:
        """The bytes leave at *at_ms*, or do not."""
        left_s = ttl_s(claim.expires_ms, at_ms)
        if left_s is None:
            self.tried["over_at_the_wire"] += 1
            life.end = withheld(claim.attempt(0), Status.EXPIRED)
            return None
        judge_write(life, at_ms, left_s)
        life.writes.append(at_ms)
        self.budget.first()
        answered_ms = at_ms + self.chance.choice([1, 80, 15_000])
        outcome = self._answer()
        self.breaker.note(outcome.verdict in {Verdict.RETRY, Verdict.UNKNOWN}, answered_ms / 1000)
        if outcome.verdict is Verdict.LANE_PAUSE:
            self.pace.pause(answered_ms + round((outcome.retry_after_s or 60) * 1000))
        step = next_step(
            claim.attempt(answered_ms), outcome, answered_ms, claim.expires_ms, self.chance.uniform(0.5, 1.5)
        )
        life.doubted |= outcome.verdict is Verdict.UNKNOWN
        if isinstance(step, Settle):
            life.end = step.status
            return None
        self._wait(life, step, outcome, answered_ms)
        return step.at_ms

    def _wait(self, life: Life, step: Again, outcome: Outcome, now_ms: int) -> None:
        if step.charged or step.ambiguous:
            life.first_ms = life.first_ms or now_ms
        life.attempts += step.charged
        life.ambiguous |= step.ambiguous
        if outcome.verdict in {Verdict.RETRY, Verdict.UNKNOWN}:
            life.not_before_ms = now_ms + round(max(10.0, outcome.retry_after_s or 0.0) * 1000)

    def _answer(self) -> Outcome:
        verdict = self.chance.choice(ANSWERS)
        told = self.chance.random() < 0.3
        return Outcome(verdict, retry_after_s=self.chance.choice([1.0, 30.0, 600.0, 3500.0]) if told else None)


def judge_write(life: Life, at_ms: int, left_s: int) -> None:
    """What must hold whenever bytes leave."""
    claim = life.claim
    assert at_ms < claim.expires_ms, "after the offer's end"
    assert 0 <= left_s * 1000 <= claim.expires_ms - at_ms and left_s <= MOST_TTL_S, "would be shown after its end"
    assert at_ms >= life.not_before_ms, "sooner than FCM asked for"
    assert not life.first_ms or at_ms <= life.first_ms + LONGEST_TRY_MS + FRESH_MS, "an hour later"
    assert life.attempts < MOST_ATTEMPTS
    if claim.lane == Lane.TRANSACTIONAL:
        return
    assert not night(claim, at_ms), "in quiet hours"
    assert at_ms <= life.revoked_ms + FRESH_MS and at_ms <= life.stopped_ms + FRESH_MS, "after a no"
    if claim.lane == Lane.BULK:
        within = (at_ms - FRESH_MS) % (15 * MINUTE_MS)
        assert GUARD_MS - FRESH_MS <= within < 15 * MINUTE_MS - GUARD_MS, "at a quarter of an hour"


def night(claim: Claim, at_ms: int) -> bool:
    """The person's clock, read as text."""
    if claim.quiet_from is None or claim.quiet_until is None:
        return False
    if claim.zone is None:
        return True
    clock = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(claim.zone)).strftime("%H:%M")
    starts, ends = (f"{m // 60:02}:{m % 60:02}" for m in (claim.quiet_from, claim.quiet_until))
    return starts <= clock < ends if starts <= ends else not ends <= clock < starts


def judge_world(world: World) -> None:
    """What must hold of all together."""
    for life in world.lives:
        assert life.end is not None
        if life.doubted:
            assert life.end in {Status.SENT, Status.UNKNOWN}, "what may be on the screen is not called failed"
        if life.claim.lane == Lane.TRIGGERED:
            assert not life.waited_for_morning, "what answers a moment is not put off"
    rate, ramp_s = world.pace.rate, world.pace.ramp_ms / 1000
    _under([(at, count) for at, _, count in world.asks], lambda s: rate * s + max(LEAST_ROOM, rate * BURST_S))
    bulk = [(at, count) for at, lane, count in world.asks if lane is Lane.BULK]
    for stretch in _stretches(bulk):
        _under(stretch, lambda s: max(1.0, rate * BURST_S) + rate * s * (min(1.0, s / ramp_s) if ramp_s else 1.0))


def _under(asks: list[tuple[int, int]], most: Callable[[float], float]) -> None:
    """From the first on, never more than *most* of the seconds since."""
    total = 0
    for at_ms, count in asks:
        total += count
        assert total <= most((at_ms - asks[0][0]) / 1000) + 1e-6, "faster than the pace"


def _stretches(asks: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Bulk between its rests, each of which begins the ramp anew."""
    found: list[list[tuple[int, int]]] = []
    for one in asks:
        if not found or one[0] - found[-1][-1][0] > IDLE_MS:
            found.append([])
        found[-1].append(one)
    return found
