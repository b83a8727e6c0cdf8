"""Frequency caps: which coupons of which campaign a customer got when, within the longest cap.

Rolling counters rebuilt from stored decisions, never ids. 20 bytes a coupon and 4 bytes a customer, plus slack.
"""

from __future__ import annotations

from offers.kernels.questions import coupons
from offers.kernels.records import Notes
from offers.pool import Pool


class Caps:
    """The notes of one partition; a row is a customer."""

    __slots__ = ("_pool",)

    def __init__(self) -> None:
        self._pool = Pool({"campaign": "i8", "at_ms": "i8"})

    @property
    def nbytes(self) -> int:
        """Bytes held, slack included."""
        return self._pool.nbytes

    def reserve(self, rows: int) -> None:
        """Make room for rows 0 .. rows - 1 in one step; later rows grow it by themselves."""
        self._pool.reserve(rows)

    def arrays(self, rows: int, notes: int) -> Notes:
        """The notes as kernels have them, with room for rows 0 .. rows - 1 and for so many notes more."""
        self._pool.make_room(rows, notes)
        return Notes(*self._pool.arrays("campaign", "at_ms"))

    def note(self, row: int, campaign: int, at_ms: int) -> None:
        """The customer got a coupon of *campaign* at *at_ms* (log time)."""
        slot = self._pool.push(row)
        self._pool.columns["campaign"][slot] = campaign
        self._pool.columns["at_ms"][slot] = at_ms

    def count(self, row: int, campaign: int, since_ms: int) -> int:
        """Coupons later than *since_ms*: with since = now - window, one exactly a window old no longer counts."""
        return coupons(self.arrays(0, 0), row, campaign, since_ms)

    def notes(self, row: int) -> list[tuple[int, int]]:
        """[(campaign, at_ms)] of a customer in ascending order: for an export, and to compare two states."""
        campaigns, times = self._pool.columns["campaign"], self._pool.columns["at_ms"]
        return sorted((campaigns[slot], times[slot]) for slot in self._pool.slots(row))

    def give_back(self, row: int, campaign: int, at_ms: int | None) -> bool:
        """Undo the note at *at_ms*, or the latest one for None; False if there is none (pruned, forgotten)."""
        campaigns, times = self._pool.columns["campaign"], self._pool.columns["at_ms"]
        found = [s for s in self._pool.slots(row) if campaigns[s] == campaign and at_ms in (None, times[s])]
        if not found:
            return False
        self._pool.remove(row, max(found, key=times.__getitem__))
        return True

    def forget(self, row: int) -> None:
        """Erase the customer's notes."""
        self._pool.forget(row)

    def prune(self, before_ms: int) -> int:
        """Drop all notes earlier than *before_ms*; returns how many."""
        return self._pool.prune("at_ms", before_ms)
