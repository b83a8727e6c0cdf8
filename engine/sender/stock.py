"""The stock: chunks in this sender's hands, what of them is still to be claimed, and how much of them is open."""

from __future__ import annotations

import datetime
import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from engine.sender.claim import Claim
from engine.sender.outbox import Lease, Range


@dataclass(slots=True)
class Holding:
    """One chunk. `open`: messages without a recorded outcome. `cursor`: what was claimed so far."""

    lease: Lease
    todo: deque[Range]
    open: int
    cursor: int
    renewed_s: float
    doubtful: set[int] = field(default_factory=set)
    """Places that a sender before us may have written."""

    @property
    def left(self) -> int:
        """Messages to be claimed."""
        return sum(one.upto - one.after for one in self.todo)

    def give_back(self, unwritten: Range) -> None:
        """*unwritten* was claimed, and nothing of it was sent."""
        self.todo.appendleft(unwritten)
        if unwritten.upto == self.cursor:
            self.cursor = unwritten.after


@dataclass(frozen=True, slots=True)
class Pick:
    """Ranges of one day to be claimed in one statement."""

    day: datetime.date
    ranges: tuple[Range, ...]

    @property
    def size(self) -> int:
        """Messages in it."""
        return sum(one.upto - one.after for one in self.ranges)


class Stock:
    """The chunks of one lane. Mutable, one writer."""

    def __init__(self) -> None:
        self._held: dict[int, Holding] = {}

    def __len__(self) -> int:
        return len(self._held)

    def left(self, wanted: Callable[[Lease], bool]) -> int:
        """Messages to be claimed, in chunks that are *wanted*."""
        return sum(one.left for one in self._held.values() if wanted(one.lease))

    def first(self, wanted: Callable[[Lease], bool]) -> Lease | None:
        """The first chunk with something to be claimed."""
        return next((one.lease for one in self._held.values() if one.todo and wanted(one.lease)), None)

    def add(self, leases: Iterable[Lease], left_behind: Mapping[int, Sequence[int]], now_s: float) -> list[int]:
        """Take *leases* in; of those that died with another sender only what it left. Chunks with nothing left."""
        empty = []
        for lease in leases:
            places = list(left_behind.get(lease.chunk, ()))
            todo = deque(_runs(lease.chunk, places))
            if lease.cursor < lease.size:
                todo.append(Range(lease.chunk, lease.cursor, lease.size))
            open_ = len(places) + lease.size - lease.cursor
            if open_:
                self._held[lease.chunk] = Holding(lease, todo, open_, lease.cursor, now_s, set(places))
            else:
                empty.append(lease.chunk)
        return empty

    def pick(self, most: int, wanted: Callable[[Lease], bool], now_s: float) -> Pick | None:
        """The next messages, at most *most*, of chunks that are *wanted*; all of one day."""
        ranges: list[Range] = []
        day: datetime.date | None = None
        for one in self._held.values():
            if not one.todo or not wanted(one.lease) or day not in (None, one.lease.day):
                continue
            day = one.lease.day
            while one.todo and most > 0:
                taken = _cut(one.todo, most)
                ranges.append(taken)
                most -= taken.upto - taken.after
                one.cursor = max(one.cursor, taken.upto)
                one.renewed_s = now_s
            if most <= 0:
                break
        return None if day is None else Pick(day, tuple(ranges))

    def doubted(self, claims: Iterable[Claim]) -> list[Claim]:
        """*claims*, those marked whose first sender died over them."""
        return [
            msgspec.structs.replace(one, ambiguous=True)
            if not one.ambiguous and one.chunk in self._held and one.seq in self._held[one.chunk].doubtful
            else one
            for one in claims
        ]

    def restore(self, pick: Pick) -> None:
        """What *pick* took could not be claimed."""
        for one in reversed(pick.ranges):
            if one.chunk in self._held:
                self._held[one.chunk].give_back(one)

    def put_back(self, claims: Iterable[Claim]) -> None:
        """These were claimed but not written in time: they are claimed anew, before what is behind them."""
        for chunk, places in _by_chunk((one.chunk, one.seq) for one in claims).items():
            if chunk in self._held:
                for run in reversed(_runs(chunk, sorted(places))):
                    self._held[chunk].give_back(run)

    def missing(self, pick: Pick, claims: Collection[Claim]) -> None:
        """Forget the chunks of *pick* that answered nothing: they are not ours any more."""
        answered = {one.chunk for one in claims}
        for chunk in {one.chunk for one in pick.ranges} - answered:
            self._held.pop(chunk, None)

    def settled(self, counts: Mapping[int, int], lost: Collection[int]) -> None:
        """So many messages of each chunk have recorded outcomes now; *lost* chunks are somebody else's."""
        for chunk, count in counts.items():
            one = self._held.get(chunk)
            if one is not None:
                one.open -= count
                if one.open <= 0:
                    del self._held[chunk]
        for chunk in lost:
            self._held.pop(chunk, None)

    def ends_with(self, counts: Mapping[int, int]) -> list[int]:
        """Chunks that end when so many of their messages have outcomes."""
        return [c for c, n in counts.items() if c in self._held and self._held[c].open <= n]

    def releasable(self, due_ms: int) -> list[tuple[int, int, int]]:
        """Chunks of which nothing is under way: (chunk, cursor, due again). What is left below the cursor counts as
        doubtful to whoever takes the chunk next."""
        return [(chunk, one.cursor, due_ms) for chunk, one in self._held.items() if one.todo and one.open == one.left]

    def forget(self, chunks: Iterable[int]) -> None:
        """They were given back."""
        for chunk in chunks:
            self._held.pop(chunk, None)

    def to_renew(self, before_s: float, now_s: float) -> list[int]:
        """Chunks whose lease was last renewed before *before_s*; taken as renewed now."""
        found = [chunk for chunk, one in self._held.items() if one.renewed_s < before_s]
        for chunk in found:
            self._held[chunk].renewed_s = now_s
        return found


def _cut(todo: deque[Range], most: int) -> Range:
    """The first range, or as much of it as *most* allows."""
    first = todo.popleft()
    if first.upto - first.after <= most:
        return first
    todo.appendleft(Range(first.chunk, first.after + most, first.upto))
    return Range(first.chunk, first.after, first.after + most)


def _runs(chunk: int, places: Sequence[int]) -> list[Range]:
    """Sorted places as ranges."""
    runs = []
    for _, group in itertools.groupby(enumerate(places), lambda pair: pair[1] - pair[0]):
        run = [place for _, place in group]
        runs.append(Range(chunk, run[0] - 1, run[-1]))
    return runs


def _by_chunk(pairs: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for chunk, place in pairs:
        found.setdefault(chunk, []).append(place)
    return found
