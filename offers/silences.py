"""Why offers were held back, by campaign and reason: each silence counted, in arrays that kernels write to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from geo.arrays import Records
from offers.kernels.hashing import EMPTY, place
from offers.kernels.records import REASONS, SILENCE
from offers.kernels.records import Silences as SilenceArrays
from offers.kernels.silences import REASON_BITS
from offers.reasons import Reason

_LEAST: Final = 256


class Silences:
    """(campaign id, reason) → how often; 32 to 64 bytes each."""

    __slots__ = ("arrays",)

    def __init__(self) -> None:
        self.arrays = SilenceArrays(_table(_LEAST), np.zeros(1, np.int64))
        """As kernels have them: until they grow."""

    def __len__(self) -> int:
        return int(self.arrays.used[0])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Silences) and sorted(self.items()) == sorted(other.items())

    __hash__ = None  # type: ignore[assignment]  # it changes

    def grow(self, more: int) -> None:
        """Make room for so many more (campaign, reason)."""
        old, used = self.arrays
        size = len(old)
        while 2 * (int(used[0]) + more) > size:
            size *= 2
        new, there = _table(size), np.flatnonzero(old["key"] != EMPTY)
        slots = np.empty(len(there), np.int64)
        place(new, old["key"][there], slots)
        new["often"][slots] = old["often"][there]
        self.arrays = SilenceArrays(new, used)

    def items(self) -> Iterator[tuple[int, Reason, int]]:
        """(campaign id, reason, how often), in no order."""
        table = self.arrays.table
        for key, often in table[table["key"] != EMPTY].tolist():
            yield key >> REASON_BITS, REASONS[key & (1 << REASON_BITS) - 1], often


def _table(size: int) -> Records:
    table = np.zeros(size, SILENCE)
    table["key"] = EMPTY
    return table
