"""Many short lists in flat arrays: row → slots, newest first. What caps and purchases of a partition are kept in.

A list costs 4 bytes a row and 4 bytes a slot beside the slot's own columns; 62,500 customers would cost a dict of
lists ten times that. Arrays grow by a quarter, so at most a fifth of the memory is slack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

NONE = -1
LEAST = 64


class Pool:
    """Linked lists with typed columns. Not thread-safe; a row never written to is an empty list."""

    __slots__ = ("_arrays", "_ends", "_head", "_next", "columns", "head", "next")

    def __init__(self, columns: Mapping[str, str]) -> None:
        """*columns*: name → numpy dtype of one value a slot."""
        self._head = np.full(0, NONE, np.int32)
        self._next = np.full(0, NONE, np.int32)
        self._arrays: dict[str, npt.NDArray[Any]] = {name: np.zeros(0, kind) for name, kind in columns.items()}
        # First of the given-back slots, linked through next; slots from the second number on were never used.
        self._ends = np.array([NONE, 0], np.int64)
        self._expose()

    def _expose(self) -> None:
        # Scalars through a memoryview cost a third of numpy's; it must be renewed when an array is.
        self.head, self.next = self._head.data, self._next.data
        self.columns: dict[str, memoryview] = {name: a.data for name, a in self._arrays.items()}

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, slack included."""
        return self._head.nbytes + self._next.nbytes + sum(a.nbytes for a in self._arrays.values())

    def reserve(self, rows: int) -> None:
        """Make room for rows 0 .. rows - 1."""
        if rows > len(self._head):
            self._head = _grown(self._head, rows, NONE)
            self._expose()

    def make_room(self, rows: int, slots: int) -> None:
        """For lists of rows 0 .. rows - 1, and for so many slots more."""
        self.reserve(rows)
        if (least := int(self._ends[1]) + slots) > len(self._next):
            self._widen(least)

    def arrays(self, *names: str) -> tuple[npt.NDArray[Any], ...]:
        """(head i4, next i4, ends i8[2]) and the named columns, for kernels: until the pool grows."""
        return self._head, self._next, self._ends, *(self._arrays[name] for name in names)

    def push(self, row: int) -> int:
        """A new first slot of *row*, its columns still to be written through `columns`."""
        self.reserve(row + 1)
        slot = self._take()
        self.next[slot] = self.head[row]
        self.head[row] = slot
        return slot

    def _take(self) -> int:
        free, fresh = self._ends.tolist()
        if free != NONE:
            self._ends[0] = self.next[free]
            return int(free)
        if fresh == len(self._next):
            self._widen(fresh + 1)
        self._ends[1] = fresh + 1
        return int(fresh)

    def _widen(self, least: int) -> None:
        self._next = _grown(self._next, least, NONE)
        self._arrays = {name: _grown(a, least, 0) for name, a in self._arrays.items()}
        self._expose()

    def first(self, row: int) -> int:
        """The row's newest slot, or NONE; `next` leads on."""
        return self.head[row] if row < len(self.head) else NONE

    def slots(self, row: int) -> Iterator[int]:
        """The row's slots, newest first."""
        slot = self.first(row)
        while slot != NONE:
            yield slot
            slot = self.next[slot]

    def remove(self, row: int, slot: int) -> None:
        """Unlink *slot*, which must be in *row*'s list, and keep it for reuse."""
        before = NONE
        for here in self.slots(row):
            if here == slot:
                break
            before = here
        if before == NONE:
            self.head[row] = self.next[slot]
        else:
            self.next[before] = self.next[slot]
        self.next[slot] = int(self._ends[0])
        self._ends[0] = slot

    def forget(self, row: int) -> int:
        """Empty the row's list, overwrite what it held with zeros, return how many slots that were."""
        slots = list(self.slots(row))
        for slot in slots:
            for column in self.columns.values():
                column[slot] = 0
            self.remove(row, slot)
        return len(slots)

    def prune(self, column: str, before: int) -> int:
        """Drop every slot whose *column* is below *before*, in all rows; return how many.

        Works on all lists at once, one array operation a depth of list, so a partition is not held up by a loop
        over its customers.
        """
        stale = self._arrays[column] < before
        dropped: list[npt.NDArray[np.int32]] = []
        rows = np.flatnonzero(self._head != NONE).astype(np.int32)
        _skip(self._head, rows, self._next, stale, dropped)
        here = self._head[rows]
        here = here[here != NONE]
        while len(here):
            _skip(self._next, here, self._next, stale, dropped)
            here = self._next[here]
            here = here[here != NONE]
        freed = np.concatenate(dropped) if dropped else np.zeros(0, np.int32)
        self._give_back(freed)
        return len(freed)

    def _give_back(self, freed: npt.NDArray[np.int32]) -> None:
        if len(freed):
            for array in self._arrays.values():
                array[freed] = 0
            self._next[freed[:-1]] = freed[1:]
            self._next[freed[-1]] = self._ends[0]
            self._ends[0] = freed[0]


def _skip(
    links: npt.NDArray[np.int32],
    at: npt.NDArray[np.int32],
    following: npt.NDArray[np.int32],
    stale: npt.NDArray[np.bool_],
    dropped: list[npt.NDArray[np.int32]],
) -> None:
    """Let links[at] point past stale slots; the skipped ones are added to *dropped*."""
    while len(at):
        target = links[at]
        bad = target != NONE
        bad[bad] = stale[target[bad]]
        at, target = at[bad], target[bad]
        if len(at):
            dropped.append(target)
            links[at] = following[target]


def _grown(array: npt.NDArray[Any], least: int, fill: int) -> npt.NDArray[Any]:
    size = max(LEAST, least, len(array) + len(array) // 4)
    out = np.full(size, fill, array.dtype)
    out[: len(array)] = array
    return out
