"""Budget blocks: the coupons of each campaign that this partition may still give.

The partition spends from its own block without asking anybody; `spent <= granted` holds at every instant, here and
as a constraint in the database.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

import numpy as np

from geo.arrays import Flags, Longs
from offers.errors import LedgerError
from offers.kernels import blocks as table
from offers.kernels.records import Blocks as BlockArrays

_LEAST: Final = 64
Column = TypeVar("Column", Longs, Flags)


class Blocks:
    """Campaign id → coupons granted to and spent by this partition. A campaign unknown here has nothing left.

    A hash table in arrays, 50 to 100 bytes a campaign: what decides reads and spends there.
    """

    __slots__ = ("_begun", "_campaign", "_count", "_granted", "_spent", "unwritten")

    def __init__(self) -> None:
        self._campaign: Longs = np.full(_LEAST, table.EMPTY, np.int64)
        self._granted: Longs = np.zeros(_LEAST, np.int64)
        self._spent: Longs = np.zeros(_LEAST, np.int64)
        self._begun: Flags = np.zeros(_LEAST, np.bool_)
        """Whose first coupons are in the block."""
        self._count = 0
        self.unwritten: set[int] = set()
        """Of those, the ones whose block has no row yet."""

    @property
    def nbytes(self) -> int:
        """Bytes of the table, slack included."""
        return self._campaign.nbytes + self._granted.nbytes + self._spent.nbytes + self._begun.nbytes

    def arrays(self) -> BlockArrays:
        """The table as kernels have it: until it grows."""
        return BlockArrays(self._campaign, self._granted, self._spent)

    def begin(self, campaigns: Iterable[int], coupons: Iterable[int]) -> None:
        """What was set aside here when the budgets were made; once a campaign, however often it is said."""
        given = np.array([(campaign, n) for campaign, n in zip(campaigns, coupons, strict=True) if n], np.int64)
        given = given.reshape(-1, 2)
        if len(given):
            _not_negative(int(given[:, 1].min()))
            slots = self._placed(given[:, 0])
            fresh = ~self._begun[slots]
            self._begun[slots] = True
            self._granted[slots[fresh]] += given[fresh, 1]
            self.unwritten.update(given[fresh, 0].tolist())

    def grant(self, campaign: int, coupons: int) -> None:
        """Add *coupons* (>= 0) to the block; raises `LedgerError` for fewer."""
        _not_negative(coupons)
        slot = self._place(campaign)  # which may grow the table
        self._granted[slot] += coupons

    def restore(self, campaign: int, granted: int, spent: int) -> None:
        """Set a block as stored; raises `LedgerError` unless 0 <= spent <= granted."""
        if not 0 <= spent <= granted:
            raise LedgerError(f"a block of {granted} coupons cannot have {spent} spent")
        slot = self._place(campaign)
        self._granted[slot], self._spent[slot], self._begun[slot] = granted, spent, True
        self.unwritten.discard(campaign)

    def spend(self, campaign: int) -> None:
        """Take one coupon; raises `LedgerError` when none is left."""
        if self.left(campaign) < 1:
            raise LedgerError(f"campaign {campaign} has no coupon left to spend")
        self._spent[self._find(campaign)] += 1

    def refund(self, campaign: int) -> None:
        """Give one spent coupon back; raises `LedgerError` when none was spent."""
        if self.spent(campaign) < 1:
            raise LedgerError(f"campaign {campaign} has spent no coupon that could come back")
        self._spent[self._find(campaign)] -= 1

    def left(self, campaign: int) -> int:
        """Coupons that may still be spent, >= 0."""
        slot = self._find(campaign)
        return int(self._granted[slot] - self._spent[slot])

    def granted(self, campaign: int) -> int:
        """Coupons granted and not reclaimed."""
        return int(self._granted[self._find(campaign)])

    def spent(self, campaign: int) -> int:
        """Coupons spent and not refunded."""
        return int(self._spent[self._find(campaign)])

    def reclaim(self, campaign: int, coupons: int) -> int:
        """Take up to *coupons* unspent ones out of the block; returns how many it really were."""
        _not_negative(coupons)
        returned = min(coupons, self.left(campaign))
        if returned:
            self._granted[self._find(campaign)] -= returned
        return returned

    def campaigns(self) -> list[int]:
        """Campaigns ever granted here, by id."""
        return sorted(self._campaign[self._campaign != table.EMPTY].tolist())

    def _find(self, campaign: int) -> int:
        """Slot of the campaign; of one that is unknown a free one, in which nothing was granted or spent."""
        return table.find(self._campaign, campaign)

    def _place(self, campaign: int) -> int:
        slot = self._find(campaign)
        return slot if self._campaign[slot] == campaign else int(self._placed(np.array([campaign], np.int64))[0])

    def _placed(self, campaigns: Longs) -> Longs:
        """Slots of the campaigns, which are known from now on."""
        while 2 * (self._count + len(campaigns)) > len(self._campaign):
            self._grow()
        slots = np.empty(len(campaigns), np.int64)
        self._count += table.place(self._campaign, np.ascontiguousarray(campaigns), slots)
        return slots

    def _grow(self) -> None:
        there = np.flatnonzero(self._campaign != table.EMPTY)
        old = self._campaign
        self._campaign = np.full(2 * len(old), table.EMPTY, np.int64)
        slots = np.empty(len(there), np.int64)
        table.place(self._campaign, old[there], slots)
        self._granted, self._spent = _moved(self._granted, there, slots), _moved(self._spent, there, slots)
        self._begun = _moved(self._begun, there, slots)


def _moved(column: Column, there: Longs, slots: Longs) -> Column:
    """Twice as long, with what was *there* in its new slots."""
    out = np.zeros(2 * len(column), column.dtype)
    out[slots] = column[there]
    return out


def _not_negative(coupons: int) -> None:
    if coupons < 0:
        raise LedgerError(f"a block cannot move by {coupons} coupons")
