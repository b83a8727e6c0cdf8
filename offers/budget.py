"""Budget blocks: the coupons of each campaign that this partition may still give.

The partition spends from its own block without asking anybody; `spent <= granted` holds at every instant, here and
as a constraint in the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from geo.arrays import Longs, Records
from offers.errors import LedgerError
from offers.kernels.hashing import EMPTY, find, place
from offers.kernels.records import BLOCK

_LEAST: Final = 64


class Blocks:
    """Campaign id → coupons granted to and spent by this partition. A campaign unknown here has nothing left.

    A hash table in an array, 64 to 128 bytes a campaign: what decides reads and spends there.
    """

    __slots__ = ("_count", "table", "unwritten")

    def __init__(self) -> None:
        self.table = _table(_LEAST)
        """BLOCK[H], as kernels have it: until it grows."""
        self._count = 0
        self.unwritten: set[int] = set()
        """Campaigns whose first coupons are in a block that has no row yet."""

    @property
    def nbytes(self) -> int:
        """Bytes of the table, slack included."""
        return int(self.table.nbytes)

    def begin(self, coupons: Mapping[int, int]) -> None:
        """What was set aside here when the budgets were made, by campaign; once each, however often it is said."""
        given = np.array([(campaign, n) for campaign, n in coupons.items() if n], np.int64).reshape(-1, 2)
        if len(given):
            _not_negative(int(given[:, 1].min()))
            slots = self._placed(given[:, 0])
            fresh = ~self.table["begun"][slots]
            self.table["begun"][slots] = True
            self.table["granted"][slots[fresh]] += given[fresh, 1]
            self.unwritten.update(given[fresh, 0].tolist())

    def grant(self, campaign: int, coupons: int) -> None:
        """Add *coupons* (>= 0) to the block; raises `LedgerError` for fewer."""
        _not_negative(coupons)
        slot = self._place(campaign)  # which may grow the table
        self.table["granted"][slot] += coupons

    def restore(self, campaign: int, granted: int, spent: int) -> None:
        """Set a block as stored; raises `LedgerError` unless 0 <= spent <= granted."""
        if not 0 <= spent <= granted:
            raise LedgerError(f"a block of {granted} coupons cannot have {spent} spent")
        slot = self._place(campaign)
        self.table[slot] = (campaign, granted, spent, True)
        self.unwritten.discard(campaign)

    def spend(self, campaign: int) -> None:
        """Take one coupon; raises `LedgerError` when none is left."""
        if self.left(campaign) < 1:
            raise LedgerError(f"campaign {campaign} has no coupon left to spend")
        self.table["spent"][self._find(campaign)] += 1

    def refund(self, campaign: int) -> None:
        """Give one spent coupon back; raises `LedgerError` when none was spent."""
        if self.spent(campaign) < 1:
            raise LedgerError(f"campaign {campaign} has spent no coupon that could come back")
        self.table["spent"][self._find(campaign)] -= 1

    def left(self, campaign: int) -> int:
        """Coupons that may still be spent, >= 0."""
        block = self.table[self._find(campaign)]
        return int(block["granted"] - block["spent"])

    def granted(self, campaign: int) -> int:
        """Coupons granted and not reclaimed."""
        return int(self.table["granted"][self._find(campaign)])

    def spent(self, campaign: int) -> int:
        """Coupons spent and not refunded."""
        return int(self.table["spent"][self._find(campaign)])

    def reclaim(self, campaign: int, coupons: int) -> int:
        """Take up to *coupons* unspent ones out of the block; returns how many it really were."""
        _not_negative(coupons)
        returned = min(coupons, self.left(campaign))
        if returned:
            self.table["granted"][self._find(campaign)] -= returned
        return returned

    def campaigns(self) -> list[int]:
        """Campaigns ever granted here, by id."""
        keys = self.table["key"]
        return sorted(keys[keys != EMPTY].tolist())

    def _find(self, campaign: int) -> int:
        """Slot of the campaign; of one that is unknown a free one, in which nothing was granted or spent."""
        return find(self.table, campaign)

    def _place(self, campaign: int) -> int:
        slot = self._find(campaign)
        return slot if self.table["key"][slot] == campaign else int(self._placed(np.array([campaign], np.int64))[0])

    def _placed(self, campaigns: Longs) -> Longs:
        """Slots of the campaigns, which are known from now on."""
        while 2 * (self._count + len(campaigns)) > len(self.table):
            old, self.table = self.table[self.table["key"] != EMPTY], _table(2 * len(self.table))
            slots = np.empty(len(old), np.int64)
            place(self.table, np.ascontiguousarray(old["key"]), slots)
            self.table[slots] = old
        slots = np.empty(len(campaigns), np.int64)
        self._count += place(self.table, np.ascontiguousarray(campaigns), slots)
        return slots


def _table(size: int) -> Records:
    table = np.zeros(size, BLOCK)
    table["key"] = EMPTY
    return table


def _not_negative(coupons: int) -> None:
    if coupons < 0:
        raise LedgerError(f"a block cannot move by {coupons} coupons")
