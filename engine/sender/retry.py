"""What to do after an attempt: pure, so that the sender only waits and writes.

Waits are 10, 20, 40, ... 320 s times a jitter of U(0.5, 1.5), but never under 10 s, and never shorter than a
`Retry-After`; seven attempts at most; the end is the offer's expiry or 60 minutes after the first attempt.
Source: Firebase, "Best practices when using FCM: handling retries" (10 s minimum, exponential backoff with
jitter, 60 min).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.channels.push import Outcome, Verdict

MOST_ATTEMPTS = 7
WAITS_S = (10, 20, 40, 80, 160, 320)
FIRST_WAIT_S = 10
LONGEST_TRY_MS = 60 * 60 * 1000
LANE_STOP_WAIT_S = 60.0
"""A message in flight when its lane stops is offered again after this; the lane's own stop holds back the
others.
"""

RETRY_SHARE = 0.1
"""Retries for each first attempt, while something fails."""
HEALTHY = 0.01
"""Share of failures below which retries are not counted: they only help then."""
SAVED = 100.0
"""Retries that may be saved up."""
NO_BUDGET_S = 10.0
"""A retry that the budget holds back looks again after this, times the jitter; it is charged no attempt."""


class RetryBudget:
    """Keeps retries from becoming the storm: one for ten first attempts while answers fail. Mutable, one writer."""

    def __init__(self) -> None:
        self._saved = SAVED / 10

    def first(self) -> None:
        """A message was tried for the first time."""
        self._saved = min(SAVED, self._saved + RETRY_SHARE)

    def allows(self, failing: float) -> bool:
        """Whether one retry may go now that this share of answers fails; takes it from what was saved."""
        if failing < HEALTHY:
            return True
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


class Status(StrEnum):
    """How a message ends. A decision ends as exactly one of these."""

    SENT = "sent"
    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    """Held back by the sender's own check (consent, stop); never an outcome of a channel."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: its *number* (1, 2, ...; uncharged ones share the number), when the first began (epoch
    ms), and whether an earlier one may have reached the phone."""

    number: int
    first_at_ms: int
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """Try again at `at_ms`. The next `Attempt` has `number + 1` if `charged`, and carries `ambiguous`."""

    at_ms: int
    charged: bool
    ambiguous: bool


@dataclass(frozen=True, slots=True)
class Settle:
    """The message is over."""

    status: Status


@dataclass(frozen=True, slots=True)
class Step:
    """What a verdict means for its message: it *ends*, or comes back, *charged* with an attempt or not."""

    ends: Status | None = None
    charged: bool = False


STEPS = {
    Verdict.SENT: Step(Status.SENT),
    Verdict.DEAD_REGISTRATION: Step(Status.FAILED),
    Verdict.REMOVED: Step(Status.FAILED),
    Verdict.PAYLOAD_FAULT: Step(Status.FAILED),
    Verdict.EXPIRED: Step(Status.EXPIRED),
    Verdict.DEVICE_BACKOFF: Step(charged=True),
    Verdict.RETRY: Step(charged=True),
    Verdict.UNKNOWN: Step(charged=True),
    # These come back for reasons that are not the message's: no quota, no lane, no connection, or a platform that is
    # closed: the next claim looks for a device on another one.
    Verdict.LANE_PAUSE: Step(),
    Verdict.LANE_STOP: Step(),
    Verdict.SUBLANE_STOP: Step(),
    Verdict.UNPROCESSED: Step(),
}


def next_step(attempt: Attempt, outcome: Outcome, now_ms: int, expires_ms: int, jitter: float) -> Again | Settle:
    """Decide after *attempt* ended in *outcome* at *now_ms*; *jitter* is drawn by the caller from U(0.5,
    1.5).

    Once an attempt may have reached the phone, only a clear "sent" ends better than `unknown`.
    """
    if outcome.verdict is Verdict.SENT:
        return Settle(Status.SENT)
    ambiguous = attempt.ambiguous or outcome.verdict is Verdict.UNKNOWN
    step = STEPS[outcome.verdict]
    if step.ends is not None:
        return Settle(_told(step.ends, ambiguous))
    charged = step.charged
    if charged and attempt.number >= MOST_ATTEMPTS:
        return Settle(_told(Status.FAILED, ambiguous))
    at_ms = now_ms + round(_wait_s(attempt.number, outcome, jitter) * 1000)
    if at_ms >= expires_ms:
        return Settle(_told(Status.EXPIRED, ambiguous))
    if at_ms >= attempt.first_at_ms + LONGEST_TRY_MS:
        return Settle(_told(Status.FAILED, ambiguous))
    return Again(at_ms, charged, ambiguous)


def withheld(attempt: Attempt, reason: Status) -> Status:
    """The end of a message that is not tried again because of *reason* (`suppressed`, `expired`, `failed`).

    *attempt* is the one that will not happen; if an earlier one may have been shown, the truth is `unknown`.
    """
    return _told(reason, attempt.ambiguous)


def backoff_s(number: int, jitter: float) -> float:
    """Seconds after failed attempt *number* (from 1): 10, 20, ... 320 times *jitter*, at least 10."""
    return max(FIRST_WAIT_S, WAITS_S[min(number, len(WAITS_S)) - 1] * jitter)


def _wait_s(number: int, outcome: Outcome, jitter: float) -> float:
    asked_s = outcome.retry_after_s
    if STEPS[outcome.verdict].charged:
        return max(asked_s or 0.0, backoff_s(number, jitter))
    if outcome.verdict is Verdict.LANE_STOP:
        asked_s = LANE_STOP_WAIT_S
    # Never earlier than asked, and spread over as long again, or everybody would come back at once.
    return 0.0 if asked_s is None else asked_s * (0.5 + jitter)


def _told(status: Status, ambiguous: bool) -> Status:
    return Status.UNKNOWN if ambiguous else status
