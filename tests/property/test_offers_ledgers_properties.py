"""Caps, purchases and budget blocks against models that are obviously right."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from offers.budget import Blocks
from offers.caps import Caps
from offers.coupon import ALPHABET, code, code_hash, normalise
from offers.errors import LedgerError
from offers.history import History

rows = st.integers(0, 4)
ids = st.integers(1, 3)
times = st.integers(0, 20)


class CapsMachine(RuleBasedStateMachine):
    """`Caps` is a list of notes a customer."""

    def __init__(self) -> None:
        super().__init__()
        self.caps = Caps()
        self.model: dict[int, list[tuple[int, int]]] = defaultdict(list)

    @rule(row=rows, campaign=ids, at_ms=times)
    def note(self, row: int, campaign: int, at_ms: int) -> None:
        self.caps.note(row, campaign, at_ms)
        self.model[row].append((campaign, at_ms))

    @rule(row=rows, campaign=ids, at_ms=st.none() | times)
    def give_back(self, row: int, campaign: int, at_ms: int | None) -> None:
        found = [n for n in self.model[row] if n[0] == campaign and at_ms in (None, n[1])]
        assert self.caps.give_back(row, campaign, at_ms) == bool(found)
        if found:
            self.model[row].remove(max(found))

    @rule(row=rows)
    def forget(self, row: int) -> None:
        self.caps.forget(row)
        self.model[row].clear()

    @rule(before_ms=times)
    def prune(self, before_ms: int) -> None:
        gone = sum(at_ms < before_ms for notes in self.model.values() for _, at_ms in notes)
        assert self.caps.prune(before_ms) == gone
        for row, notes in self.model.items():
            self.model[row] = [n for n in notes if n[1] >= before_ms]

    @rule(count=st.integers(0, 200))
    def reserve(self, count: int) -> None:
        self.caps.reserve(count)

    @rule(row=rows, campaign=ids, since_ms=st.integers(-1, 21))
    def count(self, row: int, campaign: int, since_ms: int) -> None:
        expected = sum(c == campaign and at_ms > since_ms for c, at_ms in self.model[row])
        assert self.caps.count(row, campaign, since_ms) == expected

    @invariant()
    def same(self) -> None:
        for row in range(6):
            assert self.caps.notes(row) == sorted(self.model[row])


class BlocksMachine(RuleBasedStateMachine):
    """No order of moves spends more than was granted, and nothing is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = Blocks()
        self.granted: dict[int, int] = defaultdict(int)
        self.spent: dict[int, int] = defaultdict(int)

    @rule(campaign=ids, coupons=st.integers(-2, 3))
    def grant(self, campaign: int, coupons: int) -> None:
        if coupons < 0:
            with pytest.raises(LedgerError):
                self.blocks.grant(campaign, coupons)
        else:
            self.blocks.grant(campaign, coupons)
            self.granted[campaign] += coupons

    @rule(campaign=ids)
    def spend(self, campaign: int) -> None:
        if self.spent[campaign] < self.granted[campaign]:
            self.blocks.spend(campaign)
            self.spent[campaign] += 1
        else:
            with pytest.raises(LedgerError):
                self.blocks.spend(campaign)

    @rule(campaign=ids)
    def refund(self, campaign: int) -> None:
        if self.spent[campaign]:
            self.blocks.refund(campaign)
            self.spent[campaign] -= 1
        else:
            with pytest.raises(LedgerError):
                self.blocks.refund(campaign)

    @rule(campaign=ids, coupons=st.integers(0, 5))
    def reclaim(self, campaign: int, coupons: int) -> None:
        returned = self.blocks.reclaim(campaign, coupons)
        assert returned == min(coupons, self.granted[campaign] - self.spent[campaign])
        self.granted[campaign] -= returned

    @invariant()
    def never_overspent(self) -> None:
        for campaign in range(1, 4):
            assert 0 <= self.blocks.spent(campaign) <= self.blocks.granted(campaign)
            assert self.blocks.spent(campaign) == self.spent[campaign]
            assert self.blocks.left(campaign) == self.granted[campaign] - self.spent[campaign]


TestCaps = CapsMachine.TestCase
TestCaps.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestBlocks = BlocksMachine.TestCase
TestBlocks.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)


@given(st.lists(st.tuples(rows, ids, times, st.integers(1, 99)), max_size=100), rows, times, times)
def test_history_is_a_list_of_purchases(
    bought: list[tuple[int, int, int, int]], gone: int, before_s: int, since_s: int
) -> None:
    history = History()
    for row, product, at_s, quantity in bought:
        history.note(row, product, at_s * 1000, quantity)
    history.forget(gone)
    history.prune(before_s * 1000)
    for row in range(6):
        left = [(p, s * 1000, q) for r, p, s, q in bought if r == row and r != gone and s >= before_s]
        assert [tuple(p) for p in history.purchases(row)] == left[::-1]
        for product in range(1, 4):
            since_ms = since_s * 1000
            expected = any(p == product and at >= since_ms for p, at, _ in left)
            assert history.bought(row, frozenset({product, 99}), since_ms) == expected


@given(st.binary(min_size=1, max_size=64), st.uuids())
def test_a_code_survives_how_people_write_it(key: bytes, id: UUID) -> None:
    issued = code(key, id)
    assert len(issued) == 19
    assert set(issued) <= set(ALPHABET) | {"-"}
    assert normalise(issued) == issued
    typed = issued.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert normalise(typed) == issued
    assert normalise(issued.replace("-", "").replace("1", "I").replace("0", "O")) == issued
    assert code_hash(normalise(typed)) == code_hash(issued)


@given(st.uuids(), st.uuids())
def test_different_coupons_have_different_codes(one: UUID, other: UUID) -> None:
    assert (code(b"k", one) == code(b"k", other)) == (one == other)
