"""Campaigns that began lately: who was silent when one began over them meets it at the next fix of the same visit.

A campaign begins in a partition when a switch makes it live there, for the first time or again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache

import msgspec
import numpy as np

from geo.arrays import Ints, Longs, frozen
from geo.starting import appeared
from geo.starts import NO_STARTS, Starts, starts_of
from offers.live import LiveCampaign
from offers.snapshot import Snapshot

NO_TIMES: Longs = frozen([], np.int64)
"""`Begun.by_place` where nothing began lately."""
NOTHING = Snapshot.empty()
"""What a partition ran before it ran anything."""
KEPT_MS = 3_600_000
"""Longer than any visit lasts in silence, with half an hour to spare for fixes that come late."""


class Begun:
    """Of one partition; part of its checkpoint. Mutable, one writer. Arrays: a hundred thousand may begin at once."""

    def __init__(self) -> None:
        self._ids: Longs = np.zeros(0, np.int64)
        """Campaigns, ascending."""
        self._before_ms: Longs = np.zeros(0, np.int64)
        """Visits confirmed last before this have not met them."""
        self.starts: Starts = NO_STARTS
        """The same by the fences of the snapshot last laid out for; what presence is advanced with."""
        self.by_place: Longs = NO_TIMES
        """And by the places of its campaigns; what is decided with. Empty where none began lately."""
        self.dirty = False
        """Changed since it was last checkpointed."""

    def note(self, campaigns: Collection[int], before_ms: int, snapshot: Snapshot) -> None:
        """These began, and *snapshot* is in force: what is not in it or long met is forgotten."""
        new = _sorted(campaigns)
        kept = (self._before_ms > before_ms - KEPT_MS) & np.isin(self._ids, snapshot.ids) & ~np.isin(self._ids, new)
        ids = np.concatenate([self._ids[kept], new])
        times = np.concatenate([self._before_ms[kept], np.full(len(new), before_ms, np.int64)])
        order = np.argsort(ids)
        ids, times = ids[order], times[order]
        same = np.array_equal(ids, self._ids) and np.array_equal(times, self._before_ms)
        self.dirty = self.dirty or not same
        self._ids, self._before_ms = ids, times
        self.lay_out(snapshot)

    def lay_out(self, snapshot: Snapshot) -> None:
        """Find the fences of the campaigns anew."""
        fence, campaign = _places(snapshot, self._ids.tobytes())
        before_ms = np.zeros(len(snapshot.ids), np.int64)
        here = np.isin(self._ids, snapshot.ids)
        before_ms[np.searchsorted(snapshot.ids, self._ids[here])] = self._before_ms[here]
        self.starts = starts_of(fence, before_ms[campaign])
        self.by_place = frozen(before_ms, np.int64) if here.any() else NO_TIMES

    @property
    def before_ms(self) -> dict[int, int]:
        """Campaign → visits confirmed last before this have not met it."""
        return dict(zip(self._ids.tolist(), self._before_ms.tolist(), strict=True))

    def pack(self) -> bytes:
        """For the checkpoint."""
        return msgspec.msgpack.encode(self.before_ms)

    def unpack(self, content: bytes, snapshot: Snapshot) -> None:
        """Inverse of `pack`, under the snapshot in force."""
        before_ms = msgspec.msgpack.decode(content, type=dict[int, int])
        self._ids = _sorted(before_ms)
        self._before_ms = np.array([before_ms[one] for one in self._ids.tolist()], np.int64)
        self.dirty = False
        self.lay_out(snapshot)


def starting(snapshot: Snapshot, campaigns: Collection[int]) -> Longs:
    """i8[C] as `Begun.by_place`, with which every visit meets these campaigns and no other."""
    return _starting(snapshot, _sorted(campaigns).tobytes())


@lru_cache(maxsize=2)
def _starting(snapshot: Snapshot, ids: bytes) -> Longs:
    started = np.isin(snapshot.ids, np.frombuffer(ids, np.int64))
    return frozen(np.where(started, np.iinfo(np.int64).max, 0), np.int64)


@lru_cache(maxsize=2)
def fresh(old: Snapshot, new: Snapshot) -> tuple[LiveCampaign, ...]:
    """The campaigns that are live in *new* and not in *old*. Every partition asks the same, one after the other."""
    return tuple(new.by_id[campaign] for campaign in sorted(new.by_id.keys() - old.by_id.keys()))


@lru_cache(maxsize=2)
def set_aside(old: Snapshot, new: Snapshot) -> Mapping[int, int]:
    """Of those, what each partition may give before it leases any; a campaign of which that is nothing is not in it."""
    return {one.id: one.first_coupons for one in fresh(old, new) if one.first_coupons}


@lru_cache(maxsize=2)
def unprovided(old: Snapshot, new: Snapshot) -> tuple[int, ...]:
    """Those for which nothing is set aside."""
    return tuple(one.id for one in fresh(old, new) if not one.first_coupons)


@lru_cache(maxsize=2)
def began(old: Snapshot, new: Snapshot) -> frozenset[int]:
    """The ids of those that greet who is there when they begin."""
    return frozenset(c.id for c in fresh(old, new) if c.trigger in ("enter", "dwell", "start"))


@lru_cache(maxsize=2)
def new_ground(old: Snapshot, new: Snapshot) -> Ints:
    """i4[n]: positions in *new* of the fences that *old* does not have, or has in another shape."""
    return frozen(appeared(old.fences, new.fences), np.int32)


def places(snapshot: Snapshot, campaigns: Collection[int]) -> tuple[Ints, Ints]:
    """(i4[n], i4[n]): every (fence, place in `Snapshot.campaigns`) of these campaigns, by fence."""
    return _places(snapshot, _sorted(campaigns).tobytes())


@lru_cache(maxsize=2)
def _places(snapshot: Snapshot, ids: bytes) -> tuple[Ints, Ints]:
    """Sixteen partitions ask the same, one after the other."""
    postings = snapshot.postings
    wanted = np.isin(snapshot.ids, np.frombuffer(ids, np.int64))
    found = np.flatnonzero(wanted[postings.campaign])
    fence = np.searchsorted(postings.ptr, found, side="right") - 1
    return frozen(fence, np.int32), frozen(postings.campaign[found], np.int32)


def _sorted(campaigns: Collection[int]) -> Longs:
    return np.sort(np.fromiter(campaigns, np.int64, len(campaigns)))
