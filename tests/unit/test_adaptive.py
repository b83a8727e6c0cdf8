"""How many requests fly at once."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.sender.adaptive import GROWTH, HOLD_S, LATE_MS, LEAST, MOST, Concurrency, Seen, turn

GOOD = Seen(answers=1000, faults=0, throttled=0, p95_ms=120.0, full=True, seconds=0.5)


def seen(**changes: Any) -> Seen:
    return Seen(**({name: getattr(GOOD, name) for name in GOOD.__slots__} | changes))


def test_it_begins_with_two_connections_of_ninety_streams() -> None:
    assert (Concurrency().limit, Concurrency().connections) == (180, 2)


def test_it_grows_while_it_is_quick_sound_and_wanted() -> None:
    grown = turn(Concurrency(), GOOD, 1.0)
    assert (grown.limit, grown.connections) == (round(180 * GROWTH), 3)
    spoiled_turns = (seen(p95_ms=500.0), seen(faults=10), seen(full=False), seen(answers=0), seen(late_ms=LATE_MS + 1))
    for spoiled in spoiled_turns:
        assert turn(Concurrency(), spoiled, 1.0).limit == 180
    assert turn(Concurrency(), seen(p95_ms=499.9, faults=9), 1.0).limit > 180


def test_a_429_halves_it_and_nothing_grows_for_a_while() -> None:
    halved = turn(Concurrency(400), seen(throttled=1), 1.0)
    assert halved.limit == 200
    assert turn(halved, GOOD, 1.0 + HOLD_S - 0.1).limit == 200
    assert turn(halved, GOOD, 1.0 + HOLD_S).limit == 300
    assert turn(Concurrency(LEAST), seen(throttled=5), 1.0).limit == LEAST


def test_growth_that_brings_nothing_is_taken_back() -> None:
    """A processor that is spent answers no faster because more is asked of it."""
    grown = turn(Concurrency(), GOOD, 1.0)
    assert turn(grown, seen(answers=1040), 1.5).limit == 180
    assert turn(grown, seen(answers=1060), 1.5).limit > grown.limit
    assert turn(grown, seen(answers=100, full=False), 1.5).limit == grown.limit, (
        "there was less to do, that says nothing"
    )


def test_growth_that_makes_the_sender_late_is_taken_back() -> None:
    grown = turn(Concurrency(), GOOD, 1.0)
    late = seen(answers=2000, late_ms=LATE_MS + 1)
    assert turn(grown, late, 1.5).limit == 180
    assert turn(turn(grown, late, 1.5), GOOD, 2.0).limit == 180, "it is not tried again at once"
    assert turn(grown, seen(answers=2000, late_ms=LATE_MS), 1.5).limit > grown.limit


@given(
    st.lists(
        st.builds(
            Seen,
            answers=st.integers(0, 10_000),
            faults=st.integers(0, 10_000),
            throttled=st.integers(0, 3),
            p95_ms=st.floats(0, 5000),
            full=st.booleans(),
            seconds=st.just(0.5),
            late_ms=st.floats(0, 5000),
        ),
        max_size=60,
    )
)
def test_it_stays_within_its_bounds(history: list[Seen]) -> None:
    now = Concurrency()
    for n, one in enumerate(history):
        became = turn(now, one, n * 0.5)
        assert LEAST <= became.limit <= MOST
        assert became.limit <= now.limit or (one.full and not one.throttled)
        assert not one.throttled or became.limit <= max(LEAST, now.limit // 2)
        now = became
