"""The pace of all senders together."""

from __future__ import annotations

import pytest

from engine.sender.lanes import Lane
from engine.sender.pace import BURST_S, IDLE_MS, LEAST_ROOM, QUARTER_MS, Ask, Pace, quarter_wait_ms

T0 = 1_764_000_000_000
RATE = 1000.0


def drawn(pace: Pace, lane: Lane, seconds: float, *, every_ms: int = 20, at_ms: int = T0, **more: float) -> int:
    """How much *lane* gets that asks for all it can in every turn."""
    ask = Ask(lane, 10_000, int(more.get("campaign", 0)), more.get("rate", 0.0))
    return sum(pace.take(ask, at_ms + n * every_ms).count for n in range(round(seconds * 1000 / every_ms)))


def test_the_rate_is_kept_and_used() -> None:
    pace = Pace(RATE, 0)
    assert RATE * 10 * 0.98 <= drawn(pace, Lane.TRANSACTIONAL, 10) <= RATE * (10 + BURST_S)


def test_who_rests_saves_a_quarter_of_a_second_at_most() -> None:
    pace = Pace(RATE, 0)
    pace.take(Ask(Lane.TRANSACTIONAL, 10_000), T0)
    assert pace.take(Ask(Lane.TRANSACTIONAL, 10_000), T0 + 60_000).count == RATE * BURST_S


def test_bulk_leaves_room_for_who_comes_before_it() -> None:
    pace = Pace(RATE, 0)
    drawn(pace, Lane.BULK, 2)
    assert pace.take(Ask(Lane.BULK, 10_000), T0 + 1980).count == 0, "bulk has taken all it may"
    triggered = pace.take(Ask(Lane.TRIGGERED, 10_000), T0 + 1980).count
    transactional = pace.take(Ask(Lane.TRANSACTIONAL, 10_000), T0 + 1980).count
    assert triggered >= RATE * BURST_S * 0.19
    assert transactional >= RATE * BURST_S * 0.09


@pytest.mark.parametrize("lane", list(Lane))
@pytest.mark.parametrize("rate", [0.2, 2.0, 5.0])
def test_a_slow_pace_starves_no_lane(lane: Lane, rate: float) -> None:
    """What a lane leaves to others must not be all that the bucket holds."""
    pace = Pace(rate, 0)
    assert rate * 100 * 0.9 - 1 <= drawn(pace, lane, 100) <= rate * 100 + LEAST_ROOM


def test_bulk_rises_over_the_ramp() -> None:
    pace = Pace(RATE, 60_000)
    shares = [drawn(pace, Lane.BULK, 10, at_ms=T0 + n * 10_000) / (RATE * 10) for n in range(7)]
    wanted = [(n + 0.5) / 6 for n in range(6)] + [1.0]
    assert shares == pytest.approx(wanted, abs=0.02)


def test_bulk_that_rested_begins_its_ramp_anew() -> None:
    pace = Pace(RATE, 60_000)
    drawn(pace, Lane.BULK, 70)
    later_ms = T0 + 70_000 + IDLE_MS + 1000
    assert drawn(pace, Lane.BULK, 5, at_ms=later_ms) < RATE * 5 * 0.1


def test_a_campaigns_own_rate_holds_within_the_pace() -> None:
    pace = Pace(RATE, 0)
    assert 5 * 20 * 0.95 <= drawn(pace, Lane.BULK, 20, campaign=7, rate=5.0) <= 5 * 20 + 2
    assert drawn(pace, Lane.BULK, 1, at_ms=T0 + 20_000) > 900, "others are not held by it"


def test_a_pause_holds_every_lane_and_is_not_cut_short() -> None:
    pace = Pace(RATE, 0)
    pace.take(Ask(Lane.TRANSACTIONAL, 1), T0)
    pace.pause(T0 + 5000)
    pace.pause(T0 + 1000)
    assert pace.take(Ask(Lane.TRANSACTIONAL, 1), T0 + 4999).paused
    assert pace.take(Ask(Lane.TRANSACTIONAL, 1), T0 + 6000).count == 1


def test_one_that_finds_nothing_is_told_when_to_ask_again() -> None:
    pace = Pace(RATE, 0)
    pace.take(Ask(Lane.TRANSACTIONAL, 10_000), T0)
    now_ms = T0
    for _ in range(20):
        grant = pace.take(Ask(Lane.TRANSACTIONAL, 10_000), now_ms)
        assert bool(grant.count) is not bool(grant.wait_ms)
        now_ms += grant.wait_ms or 1


@pytest.mark.parametrize(
    ("minute", "second", "wait_s"),
    [
        (0, 0, 120),
        (1, 59, 1),
        (2, 0, 0),
        (12, 59, 0),
        (13, 0, 240),
        (14, 59, 121),
        (15, 0, 120),
        (31, 0, 60),
        (58, 30, 210),
    ],
)
def test_bulk_stays_clear_of_the_quarters(minute: int, second: int, wait_s: int) -> None:
    at_ms = T0 - T0 % (4 * QUARTER_MS) + (minute * 60 + second) * 1000
    assert quarter_wait_ms(at_ms, 120_000) == wait_s * 1000
    assert quarter_wait_ms(at_ms, 0) == 0
