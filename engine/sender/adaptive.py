"""How many requests fly at once: begin with two connections of 90 streams, grow while that helps, halve when told to.

Pure; time is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.channels.fcm_wire import CONNECTIONS, STREAMS

LEAST = STREAMS
MOST = 20 * STREAMS
TURN_S = 0.5
"""Between two looks at what was seen."""
SLOW_MS = 500.0
FAULTY = 0.01
GROWTH = 1.5
GAIN = 1.05
"""More in flight must bring at least this much more through, or it only queues: then the step is taken back."""
LATE_MS = 20.0
"""The sender comes so much later to its turns than it meant to when its processor is spent: what would fly besides only
waits, and lets what is urgent wait with it."""
HOLD_S = 10.0
"""After a step back or a halving nothing grows for so long."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one turn saw. `full`: slots were wanted that were not there. `late_ms`: so much later than meant it came."""

    answers: int
    faults: int
    throttled: int
    p95_ms: float
    full: bool
    seconds: float
    late_ms: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Concurrency:
    """The limit, and what led to it."""

    limit: int = CONNECTIONS * STREAMS
    before: int = 0
    """The limit before the last growth; 0: that growth has been judged."""
    rate_before: float = 0.0
    hold_until_s: float = 0.0

    @property
    def connections(self) -> int:
        """Over how many connections the limit is spread."""
        return max(1, -(-self.limit // STREAMS))


def turn(now: Concurrency, seen: Seen, now_s: float) -> Concurrency:
    """The limit after a turn that *seen* describes."""
    if seen.throttled:
        return Concurrency(max(LEAST, now.limit // 2), hold_until_s=now_s + HOLD_S)
    if now.before and seen.full and (seen.rate < now.rate_before * GAIN or seen.late_ms > LATE_MS):
        return Concurrency(now.before, hold_until_s=now_s + HOLD_S)
    if now.before:
        now = replace(now, before=0)
    healthy = seen.answers > 0 and seen.p95_ms < SLOW_MS and seen.faults < FAULTY * seen.answers
    healthy = healthy and seen.late_ms <= LATE_MS
    if not (seen.full and healthy) or now_s < now.hold_until_s or now.limit >= MOST:
        return now
    return Concurrency(min(MOST, round(now.limit * GROWTH)), now.limit, seen.rate, now.hold_until_s)
