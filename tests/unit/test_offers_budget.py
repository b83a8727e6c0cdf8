"""Blocks: the boundary cases; the machine in the property tests does the rest."""

from __future__ import annotations

import pytest

from offers.budget import Blocks
from offers.errors import LedgerError


def test_what_was_set_aside_is_begun_once_and_is_in_a_stored_block_already() -> None:
    blocks = Blocks()
    blocks.grant(1, 5)  # a lease may come before the switch
    for _ in range(2):
        blocks.begin({1: 15})
    assert (blocks.left(1), blocks.unwritten) == (20, {1})
    blocks.restore(2, granted=15, spent=3)
    blocks.begin({2: 15, 3: 0})
    assert (blocks.left(2), blocks.left(3), blocks.unwritten) == (12, 0, {1})


def test_a_campaign_never_heard_of_has_nothing() -> None:
    blocks = Blocks()
    assert (blocks.left(1), blocks.granted(1), blocks.spent(1), blocks.reclaim(1, 5)) == (0, 0, 0, 0)
    with pytest.raises(LedgerError, match="no coupon left"):
        blocks.spend(1)
    with pytest.raises(LedgerError, match="no coupon that could come back"):
        blocks.refund(1)
    assert blocks.campaigns() == []


def test_the_last_coupon_is_spent_once() -> None:
    blocks = Blocks()
    blocks.grant(1, 1)
    blocks.spend(1)
    with pytest.raises(LedgerError):
        blocks.spend(1)
    blocks.refund(1)
    blocks.spend(1)
    assert (blocks.left(1), blocks.spent(1), blocks.granted(1)) == (0, 1, 1)


def test_a_block_is_taken_over_as_the_database_holds_it() -> None:
    blocks = Blocks()
    blocks.restore(1, granted=5, spent=3)
    assert (blocks.left(1), blocks.spent(1), blocks.granted(1)) == (2, 3, 5)
    for granted, spent in ((1, 2), (1, -1)):
        with pytest.raises(LedgerError, match="cannot have"):
            blocks.restore(1, granted, spent)
    assert blocks.left(1) == 2


def test_only_what_is_unspent_is_reclaimed() -> None:
    blocks = Blocks()
    blocks.grant(1, 5)
    blocks.spend(1)
    assert [blocks.reclaim(1, 3), blocks.reclaim(1, 3), blocks.reclaim(1, 3)] == [3, 1, 0]
    assert (blocks.left(1), blocks.granted(1)) == (0, 1)


@pytest.mark.parametrize("move", [Blocks.grant, Blocks.reclaim])
def test_a_negative_move_is_a_bug(move: object) -> None:
    assert callable(move)
    with pytest.raises(LedgerError):
        move(Blocks(), 1, -1)


def test_many_begin_as_each_would() -> None:
    """Whether none was known before, or some had begun, or had been granted something."""
    for known in ((), ((2, 7),), ((2, 7), (9, 1))):
        for granted in ((), (3, 8)):
            one, many = Blocks(), Blocks()
            for blocks in (one, many):
                for campaign, coupons in known:
                    blocks.begin({campaign: coupons})
                for campaign in granted:
                    blocks.grant(campaign, 4)
            for campaign in (1, 2, 3):
                one.begin({campaign: 10 * campaign})
            many.begin({campaign: 10 * campaign for campaign in (1, 2, 3)})
            many.begin({1: 10})
            assert one.unwritten == many.unwritten and one.campaigns() == many.campaigns()
            assert [one.left(c) for c in range(10)] == [many.left(c) for c in range(10)]
