"""By a fake clock: nothing is written after an offer's end or in a person's quiet hours, whatever FCM answers."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.reference.sender_clock import World, judge_world

LIVES = 50
CASES = 20_000
MANY = 1_000_000
TRIED = ("offer_over", "over_at_the_wire", "quiet_hours", "no_consent", "campaign_stopped", "quarter", "pace")


def lived(first: int, cases: int) -> Counter[str]:
    """So many messages, in worlds numbered from *first*; what was attempted and prevented, and how they ended."""
    told: Counter[str] = Counter()
    for seed in range(first, first + cases // LIVES):
        world = World(seed, LIVES)
        try:
            world.run()
            judge_world(world)
        except AssertionError as error:
            error.add_note(f"world {seed}")
            raise
        told.update(world.tried)
        told["writes"] += sum(len(life.writes) for life in world.lives)
        told["waited_for_morning"] += sum(life.waited_for_morning for life in world.lives)
    return told


def tried(told: Counter[str], cases: int) -> None:
    """A zero proves nothing unless something tried."""
    assert {name: told[name] for name in TRIED if told[name] < cases // 500} == {}
    assert told["hour_over"] > cases // 20_000
    assert told["writes"] > cases // 4 and told["waited_for_morning"] > cases // 500


def test_twenty_thousand_lives() -> None:
    tried(lived(0, CASES), CASES)


@pytest.mark.slow
def test_a_million_lives(capsys: pytest.CaptureFixture[str]) -> None:
    told: Counter[str] = Counter()
    for first in range(CASES // LIVES, (CASES + MANY) // LIVES, CASES // LIVES):
        told += lived(first, CASES)
        with capsys.disabled():
            print(f"\r  {first * LIVES:>9,} of {MANY:,} messages by the fake clock", end="", flush=True)
    with capsys.disabled():
        print(f"\r  {MANY:,} messages by the fake clock: {dict(told)}", flush=True)
    tried(told, MANY)
