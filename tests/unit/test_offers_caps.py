"""Frequency caps: the rolling window, giving back, forgetting, memory."""

from __future__ import annotations

from offers.caps import Caps

DAY = 86_400_000


def test_a_coupon_counts_until_it_is_exactly_a_window_old() -> None:
    caps = Caps()
    caps.note(0, 7, 1_000)
    assert caps.count(0, 7, since_ms=(1_000 + 7 * DAY - 1) - 7 * DAY) == 1
    assert caps.count(0, 7, since_ms=(1_000 + 7 * DAY) - 7 * DAY) == 0


def test_counts_are_apart_for_customers_and_campaigns() -> None:
    caps = Caps()
    for row, campaign, at_ms in ((0, 7, 10), (0, 7, 20), (0, 8, 30), (5, 7, 40)):
        caps.note(row, campaign, at_ms)
    assert [caps.count(0, 7, 0), caps.count(0, 8, 0), caps.count(5, 7, 0), caps.count(5, 8, 0)] == [2, 1, 1, 0]
    assert caps.count(10_000, 7, 0) == 0


def test_the_latest_coupon_is_given_back_unless_one_is_named() -> None:
    caps = Caps()
    for at_ms in (30, 10, 20):
        caps.note(0, 7, at_ms)
    assert caps.give_back(0, 7, 10)
    assert caps.notes(0) == [(7, 20), (7, 30)]
    assert caps.give_back(0, 7, None)
    assert caps.notes(0) == [(7, 20)]
    assert not caps.give_back(0, 7, 99)
    assert not caps.give_back(0, 8, None)
    assert not caps.give_back(77, 7, None)
    assert caps.notes(0) == [(7, 20)]


def test_a_forgotten_customer_leaves_nothing_in_memory() -> None:
    caps = Caps()
    caps.note(0, 7_777_777_777, 1_234_567_891_011)
    caps.note(1, 8, 5)
    caps.forget(0)
    assert caps.notes(0) == []
    assert caps.notes(1) == [(8, 5)]
    assert 7_777_777_777 not in caps._pool.columns["campaign"].tolist()
    assert 1_234_567_891_011 not in caps._pool.columns["at_ms"].tolist()


def test_pruning_keeps_the_boundary_and_its_slots_are_used_again() -> None:
    caps = Caps()
    for row in range(10):
        for at_ms in (100, 50, 200, 51, 49):
            caps.note(row, row, at_ms)
    full = caps.nbytes
    assert caps.prune(before_ms=51) == 20
    assert all(caps.notes(row) == [(row, 51), (row, 100), (row, 200)] for row in range(10))
    for row in range(10):
        caps.note(row, row, 300)
        caps.note(row, row, 301)
    assert caps.nbytes == full


def test_no_freed_slot_is_lost_whichever_way_it_was_freed() -> None:
    caps = Caps()
    for at_ms in range(64):
        caps.note(at_ms % 4, 1, at_ms)
    full = caps.nbytes
    for _ in range(5):
        assert all(caps.give_back(0, 1, None) for _ in range(4))
        caps.forget(1)
        assert caps.prune(before_ms=64) > 0
        for at_ms in range(64):
            caps.note(at_ms % 4, 1, at_ms)
        assert caps.nbytes == full
        assert sum(len(caps.notes(row)) for row in range(4)) == 64


def test_two_coupons_cost_at_most_sixty_bytes_a_customer() -> None:
    caps = Caps()
    for row in range(20_000):
        caps.note(row, row % 50, row)
        caps.note(row, row % 49, row)
        if row > 1_000:
            assert caps.nbytes <= 60 * (row + 1)
