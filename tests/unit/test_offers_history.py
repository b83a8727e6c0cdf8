"""What a customer bought."""

from __future__ import annotations

from offers.history import History, Purchase


def test_purchases_come_back_newest_note_first_in_whole_seconds() -> None:
    history = History()
    history.reserve(4)
    history.note(2, 2**40, 1_700_000_000_999, 3)
    history.note(2, 5, 1_600_000_000_000, 70_000)
    assert history.purchases(2) == [Purchase(5, 1_600_000_000_000, 65_535), Purchase(2**40, 1_700_000_000_000, 3)]
    assert history.purchases(3) == []
    assert history.purchases(99) == []


def test_bought_includes_the_first_second_of_the_window() -> None:
    history = History()
    history.note(0, 5, 10_000, 1)
    assert history.bought(0, frozenset({4, 5}), since_ms=10_000)
    assert history.bought(0, frozenset({5}), since_ms=10_999)
    assert not history.bought(0, frozenset({5}), since_ms=11_000)
    assert not history.bought(0, frozenset({4}), since_ms=0)


def test_dates_out_of_range_are_kept_at_its_ends() -> None:
    history = History()
    history.note(0, 1, -5_000, 1)
    history.note(0, 2, 2**60, 1)
    assert history.purchases(0) == [Purchase(2, (2**32 - 1) * 1000, 1), Purchase(1, 0, 1)]


def test_forgetting_and_pruning() -> None:
    history = History()
    for row in (0, 1):
        for day in range(5):
            history.note(row, 123_456_789, day * 1000, 1)
    history.forget(0)
    assert history.prune(before_ms=2_000) == 2
    assert [p.at_ms for p in history.purchases(1)] == [4000, 3000, 2000]
    assert history.purchases(0) == []
    assert history._pool.columns["product"].tolist().count(123_456_789) == 3
