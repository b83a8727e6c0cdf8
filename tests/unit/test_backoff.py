"""How long a part that died waits."""

from engine.backoff import Backoff


def test_it_doubles_to_five_seconds() -> None:
    backoff = Backoff()
    assert [backoff.died(0.1) for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_healthy_life_forgets_the_past() -> None:
    backoff = Backoff()
    for _ in range(4):
        backoff.died(0.1)
    assert backoff.died(29.9) == 3.2, "not long enough"
    assert backoff.died(30.0) == 0.2
    assert backoff.died(1.0) == 0.4
