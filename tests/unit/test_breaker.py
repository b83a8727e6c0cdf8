"""The breaker of a lane."""

from __future__ import annotations

from engine.sender.breaker import LEAST_SAMPLES, OPEN_S, PROBE, PROBES, WINDOW_S, Breaker


def fed(failures: int, answers: int, now_s: float = 100.0) -> Breaker:
    breaker = Breaker()
    for n in range(answers):
        breaker.note(n < failures, now_s)
    return breaker


def opened() -> Breaker:
    breaker = Breaker()
    assert [breaker.note(True, 100.0) for _ in range(LEAST_SAMPLES)].index(True) == LEAST_SAMPLES - 1
    return breaker


def test_it_opens_at_half_of_two_hundred_in_ten_seconds() -> None:
    assert opened().share(100.0) == 0.0
    assert fed(LEAST_SAMPLES - 1, LEAST_SAMPLES - 1).share(100.0) == 1.0, "too few to tell"
    breaker = fed(0, 101)
    assert not any(breaker.note(True, 100.0) for _ in range(100)), "just under half"
    assert breaker.note(True, 100.0)


def test_what_is_older_than_the_window_does_not_count() -> None:
    breaker = fed(150, 150, 100.0)
    assert not any(breaker.note(True, 100.0 + WINDOW_S) for _ in range(LEAST_SAMPLES - 1))
    assert breaker.note(True, 100.0 + WINDOW_S)


def test_half_open_it_lets_a_twentieth_through() -> None:
    breaker = opened()
    assert (breaker.opens_in_s(110.0), breaker.share(100.0 + OPEN_S - 0.1)) == (OPEN_S - 10, 0.0)
    assert breaker.share(100.0 + OPEN_S) == PROBE


def test_good_probes_close_it_and_bad_ones_open_it_again() -> None:
    breaker, later_s = opened(), 100.0 + OPEN_S
    for _ in range(PROBES):
        breaker.note(False, later_s)
    assert breaker.share(later_s) == 1.0
    breaker = opened()
    assert [breaker.note(True, later_s) for _ in range(PROBES)] == [False] * (PROBES - 1) + [True]
    assert breaker.share(later_s) == 0.0
    assert breaker.share(later_s + OPEN_S) == PROBE


def test_answers_of_before_are_no_probes() -> None:
    breaker = opened()
    for _ in range(10 * PROBES):
        breaker.note(False, 101.0)
    assert breaker.share(101.0) == 0.0


def test_the_share_of_failures_is_of_the_last_seconds() -> None:
    breaker = fed(30, 100)
    assert breaker.failing(105.0) == 0.3
    assert breaker.failing(100.0 + WINDOW_S) == 0.0
    assert Breaker().failing(1.0) == 0.0
