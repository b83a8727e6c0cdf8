"""What the sender does after an attempt: every verdict, the waits, the ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.channels.push import Outcome, Verdict
from engine.sender.retry import (
    LONGEST_TRY_MS,
    MOST_ATTEMPTS,
    Again,
    Attempt,
    Settle,
    Status,
    backoff_s,
    next_step,
    withheld,
)

NOW_MS = 1_764_000_000_000
FAR_MS = NOW_MS + 10 * LONGEST_TRY_MS
FIRST = Attempt(1, NOW_MS)
DOUBTFUL = Attempt(2, NOW_MS, ambiguous=True)


def step(outcome: Outcome, attempt: Attempt = FIRST, jitter: float = 1.0, expires_ms: int = FAR_MS) -> Again | Settle:
    return next_step(attempt, outcome, NOW_MS, expires_ms, jitter)


@pytest.mark.parametrize(
    ("verdict", "clear", "after_doubt"),
    [
        (Verdict.SENT, Status.SENT, Status.SENT),
        (Verdict.DEAD_REGISTRATION, Status.FAILED, Status.UNKNOWN),
        (Verdict.REMOVED, Status.FAILED, Status.UNKNOWN),
        (Verdict.PAYLOAD_FAULT, Status.FAILED, Status.UNKNOWN),
        (Verdict.EXPIRED, Status.EXPIRED, Status.UNKNOWN),
    ],
)
def test_final_verdicts(verdict: Verdict, clear: Status, after_doubt: Status) -> None:
    assert step(Outcome(verdict)) == Settle(clear)
    assert step(Outcome(verdict), DOUBTFUL) == Settle(after_doubt), "the first copy may be on the screen"


@pytest.mark.parametrize(
    ("outcome", "wait_s", "charged"),
    [
        (Outcome(Verdict.RETRY), 10, True),
        (Outcome(Verdict.RETRY, retry_after_s=45), 45, True),
        (Outcome(Verdict.UNKNOWN), 10, True),
        (Outcome(Verdict.UNKNOWN, retry_after_s=3), 10, True),
        (Outcome(Verdict.DEVICE_BACKOFF, retry_after_s=60), 60, True),
        (Outcome(Verdict.LANE_PAUSE, retry_after_s=60), 90, False),
        (Outcome(Verdict.LANE_STOP), 90, False),
        (Outcome(Verdict.SUBLANE_STOP), 0, False),
        (Outcome(Verdict.UNPROCESSED), 0, False),
        (Outcome(Verdict.UNPROCESSED, retry_after_s=1), 1.5, False),
    ],
)
def test_verdicts_that_come_back(outcome: Outcome, wait_s: float, charged: bool) -> None:
    assert step(outcome) == Again(NOW_MS + round(wait_s * 1000), charged, outcome.verdict is Verdict.UNKNOWN)


@pytest.mark.parametrize("verdict", [Verdict.RETRY, Verdict.UNKNOWN, Verdict.LANE_PAUSE, Verdict.UNPROCESSED])
def test_doubt_is_carried_on(verdict: Verdict) -> None:
    then = step(Outcome(verdict), DOUBTFUL)
    assert isinstance(then, Again)
    assert then.ambiguous


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_a_next_step(verdict: Verdict) -> None:
    assert isinstance(step(Outcome(verdict)), Again | Settle)


def test_the_ladder() -> None:
    assert [backoff_s(n, 1.0) for n in range(1, 8)] == [10, 20, 40, 80, 160, 320, 320]
    assert [backoff_s(n, 1.5) for n in range(1, 7)] == [15, 30, 60, 120, 240, 480]
    assert [backoff_s(n, 0.5) for n in range(1, 7)] == [10, 10, 20, 40, 80, 160], "never under 10 s"


def test_a_lane_comes_back_spread_out_and_never_early() -> None:
    pause = Outcome(Verdict.LANE_PAUSE, retry_after_s=60)
    waits = [step(pause, jitter=j) for j in (0.5, 1.0, 1.5)]
    assert [w.at_ms - NOW_MS for w in waits if isinstance(w, Again)] == [60_000, 90_000, 120_000]


@pytest.mark.parametrize(("verdict", "end"), [(Verdict.RETRY, Status.FAILED), (Verdict.UNKNOWN, Status.UNKNOWN)])
def test_seven_attempts_at_most(verdict: Verdict, end: Status) -> None:
    attempt, now_ms, attempts = FIRST, NOW_MS, 1
    while isinstance(then := next_step(attempt, Outcome(verdict), now_ms, FAR_MS, 1.5), Again):
        assert then.charged
        attempts += 1
        attempt, now_ms = Attempt(attempt.number + 1, NOW_MS, then.ambiguous), then.at_ms
    assert (then, attempts) == (Settle(end), MOST_ATTEMPTS)


def test_one_doubt_makes_every_bad_end_unknown() -> None:
    """503 (perhaps delivered), then 500 to the end."""
    attempt = FIRST
    for verdict in [Verdict.UNKNOWN] + [Verdict.RETRY] * (MOST_ATTEMPTS - 2):
        then = step(Outcome(verdict), attempt)
        assert isinstance(then, Again)
        attempt = Attempt(attempt.number + 1, NOW_MS, then.ambiguous)
    assert step(Outcome(Verdict.RETRY), attempt) == Settle(Status.UNKNOWN)


@pytest.mark.parametrize(("verdict", "end"), [(Verdict.RETRY, Status.EXPIRED), (Verdict.UNKNOWN, Status.UNKNOWN)])
def test_nothing_is_planned_past_the_offers_end(verdict: Verdict, end: Status) -> None:
    assert step(Outcome(verdict), expires_ms=NOW_MS + 10_000) == Settle(end)
    assert isinstance(step(Outcome(verdict), expires_ms=NOW_MS + 10_001), Again)


def test_sixty_minutes_at_most() -> None:
    old = Attempt(3, NOW_MS - LONGEST_TRY_MS + 40_000)
    assert step(Outcome(Verdict.RETRY), old) == Settle(Status.FAILED)
    assert isinstance(step(Outcome(Verdict.RETRY), Attempt(3, old.first_at_ms + 1)), Again)


@pytest.mark.parametrize("verdict", [Verdict.UNPROCESSED, Verdict.LANE_PAUSE, Verdict.LANE_STOP])
def test_uncharged_verdicts_end_too(verdict: Verdict) -> None:
    """A lane that never comes back must not keep a message for ever; no number of attempts ends it, time does."""
    outcome = Outcome(verdict, retry_after_s=1)
    assert isinstance(step(outcome, Attempt(MOST_ATTEMPTS, NOW_MS)), Again)
    assert step(outcome, Attempt(1, NOW_MS - LONGEST_TRY_MS)) == Settle(Status.FAILED)
    assert step(outcome, expires_ms=NOW_MS) == Settle(Status.EXPIRED)


@pytest.mark.parametrize("reason", [Status.SUPPRESSED, Status.EXPIRED, Status.FAILED])
def test_withheld_before_the_next_attempt(reason: Status) -> None:
    assert withheld(FIRST, reason) is reason
    assert withheld(DOUBTFUL, reason) is Status.UNKNOWN


COMING_BACK = [Verdict.RETRY, Verdict.UNKNOWN, Verdict.DEVICE_BACKOFF, Verdict.LANE_PAUSE, Verdict.UNPROCESSED]
OUTCOMES = st.builds(
    Outcome,
    st.sampled_from(COMING_BACK * 5 + list(Verdict)),
    retry_after_s=st.none() | st.floats(1, 3600),
)


@given(st.lists(OUTCOMES, min_size=1, max_size=40), st.integers(1, 2 * LONGEST_TRY_MS), st.floats(0.5, 1.5))
def test_any_history_keeps_the_promises(outcomes: list[Outcome], life_ms: int, jitter: float) -> None:
    """Time never runs back, nothing is planned past the end, and doubt never ends as failed."""
    attempt, now_ms, doubt = FIRST, NOW_MS, False
    for outcome in outcomes:
        doubt |= outcome.verdict is Verdict.UNKNOWN
        then = next_step(attempt, outcome, now_ms, NOW_MS + life_ms, jitter)
        if isinstance(then, Settle):
            assert then.status in ({Status.SENT, Status.UNKNOWN} if doubt else set(Status) - {Status.UNKNOWN})
            return
        assert now_ms <= then.at_ms < NOW_MS + min(life_ms, LONGEST_TRY_MS)
        assert then.ambiguous is doubt
        attempt, now_ms = Attempt(attempt.number + then.charged, NOW_MS, then.ambiguous), then.at_ms
        assert attempt.number <= MOST_ATTEMPTS
