"""Budget blocks: the coupons of each campaign that this partition may still give.

The partition spends from its own block without asking anybody; `spent <= granted` holds at every instant, here and
as a constraint in the database.
"""

from __future__ import annotations

from collections.abc import Mapping

from offers.errors import LedgerError


class Blocks:
    """Campaign id → coupons granted to and spent by this partition. A campaign unknown here has nothing left."""

    __slots__ = ("_begun", "_granted", "_spent", "unwritten")

    def __init__(self) -> None:
        self._granted: dict[int, int] = {}
        self._spent: dict[int, int] = {}
        self._begun: set[int] = set()
        """Campaigns whose first coupons are in the block."""
        self.unwritten: set[int] = set()
        """Of those, the ones whose block has no row yet."""

    def begin(self, campaign: int, coupons: int) -> None:
        """What was set aside for this partition when the budget was made; once a campaign, however often it is said."""
        _not_negative(coupons)
        if coupons and campaign not in self._begun:
            self._begun.add(campaign)
            self.unwritten.add(campaign)
            self._granted[campaign] = self._granted.get(campaign, 0) + coupons

    def begin_all(self, coupons: Mapping[int, int]) -> None:
        """The same of many campaigns, each with some coupons: of a hundred thousand at once."""
        if self._begun.isdisjoint(coupons) and self._granted.keys().isdisjoint(coupons):
            self._begun.update(coupons)
            self.unwritten.update(coupons)
            self._granted.update(coupons)
        else:
            for campaign, some in coupons.items():
                self.begin(campaign, some)

    def grant(self, campaign: int, coupons: int) -> None:
        """Add *coupons* (>= 0) to the block; raises `LedgerError` for fewer."""
        _not_negative(coupons)
        self._granted[campaign] = self._granted.get(campaign, 0) + coupons

    def restore(self, campaign: int, granted: int, spent: int) -> None:
        """Set a block as stored; raises `LedgerError` unless 0 <= spent <= granted."""
        if not 0 <= spent <= granted:
            raise LedgerError(f"a block of {granted} coupons cannot have {spent} spent")
        self._granted[campaign], self._spent[campaign] = granted, spent
        self._begun.add(campaign)
        self.unwritten.discard(campaign)

    def spend(self, campaign: int) -> None:
        """Take one coupon; raises `LedgerError` when none is left."""
        if self.left(campaign) < 1:
            raise LedgerError(f"campaign {campaign} has no coupon left to spend")
        self._spent[campaign] = self.spent(campaign) + 1

    def refund(self, campaign: int) -> None:
        """Give one spent coupon back; raises `LedgerError` when none was spent."""
        if self.spent(campaign) < 1:
            raise LedgerError(f"campaign {campaign} has spent no coupon that could come back")
        self._spent[campaign] -= 1

    def left(self, campaign: int) -> int:
        """Coupons that may still be spent, >= 0."""
        return self._granted.get(campaign, 0) - self._spent.get(campaign, 0)

    def granted(self, campaign: int) -> int:
        """Coupons granted and not reclaimed."""
        return self._granted.get(campaign, 0)

    def spent(self, campaign: int) -> int:
        """Coupons spent and not refunded."""
        return self._spent.get(campaign, 0)

    def reclaim(self, campaign: int, coupons: int) -> int:
        """Take up to *coupons* unspent ones out of the block; returns how many it really were."""
        _not_negative(coupons)
        returned = min(coupons, self.left(campaign))
        if returned:
            self._granted[campaign] -= returned
        return returned

    def short(self, low_water: int) -> list[int]:
        """Campaigns known here with fewer than *low_water* left, by id."""
        return sorted(campaign for campaign in self._granted if self.left(campaign) < low_water)

    def campaigns(self) -> list[int]:
        """Campaigns ever granted here, by id."""
        return sorted(self._granted)


def _not_negative(coupons: int) -> None:
    if coupons < 0:
        raise LedgerError(f"a block cannot move by {coupons} coupons")
