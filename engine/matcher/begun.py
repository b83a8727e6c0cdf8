"""Campaigns that began lately: who was silent when one began over them meets it at the next fix of the same visit.

A campaign begins in a partition when a switch makes it live there, for the first time or again.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

import msgspec
import numpy as np

from geo.arrays import Ints, frozen
from geo.starts import NO_STARTS, Starts, starts_of
from offers.live import LiveCampaign
from offers.snapshot import Snapshot

KEPT_MS = 3_600_000
"""Longer than any visit lasts in silence, with half an hour to spare for fixes that come late."""


class Begun:
    """Of one partition; part of its checkpoint. Mutable, one writer."""

    def __init__(self) -> None:
        self.before_ms: dict[int, int] = {}
        """Campaign → visits confirmed last before this have not met it."""
        self.starts: Starts = NO_STARTS
        """The same by the fences of the snapshot last laid out for; what presence is advanced with."""
        self.dirty = False
        """Changed since it was last checkpointed."""

    def note(self, campaigns: Collection[int], before_ms: int, snapshot: Snapshot) -> None:
        """These began, and *snapshot* is in force: what is not in it or long met is forgotten."""
        kept = {c: ms for c, ms in self.before_ms.items() if c in snapshot.by_id and ms > before_ms - KEPT_MS}
        became = kept | dict.fromkeys(campaigns, before_ms)
        self.dirty = self.dirty or became != self.before_ms
        self.before_ms = became
        self.lay_out(snapshot)

    def lay_out(self, snapshot: Snapshot) -> None:
        """Find the fences of the campaigns anew."""
        fence, campaign = places(snapshot, frozenset(self.before_ms))
        before_ms = np.zeros(len(snapshot.ids), np.int64)
        here = [c for c in self.before_ms if c in snapshot.by_id]
        before_ms[np.searchsorted(snapshot.ids, here)] = [self.before_ms[c] for c in here]
        self.starts = starts_of(fence, before_ms[campaign])

    def unmet(self, last_ms: int) -> frozenset[int]:
        """Campaigns that a visit confirmed last at *last_ms* has not met."""
        return frozenset(campaign for campaign, before_ms in self.before_ms.items() if last_ms < before_ms)

    def pack(self) -> bytes:
        """For the checkpoint."""
        return msgspec.msgpack.encode(self.before_ms)

    def unpack(self, content: bytes, snapshot: Snapshot) -> None:
        """Inverse of `pack`, under the snapshot in force."""
        self.before_ms = msgspec.msgpack.decode(content, type=dict[int, int])
        self.dirty = False
        self.lay_out(snapshot)


@lru_cache(maxsize=2)
def fresh(old: Snapshot, new: Snapshot) -> tuple[LiveCampaign, ...]:
    """The campaigns that are live in *new* and not in *old*. Every partition asks the same, one after the other."""
    return tuple(new.by_id[campaign] for campaign in sorted(new.by_id.keys() - old.by_id.keys()))


@lru_cache(maxsize=2)
def began(old: Snapshot, new: Snapshot) -> frozenset[int]:
    """The ids of those that begin of themselves; a search calls up its own."""
    return frozenset(c.id for c in fresh(old, new) if c.trigger != "search")


@lru_cache(maxsize=2)
def places(snapshot: Snapshot, campaigns: frozenset[int]) -> tuple[Ints, Ints]:
    """(i4[n], i4[n]): every (fence, place in `Snapshot.campaigns`) of these campaigns, by fence."""
    postings = snapshot.postings
    wanted = np.isin(snapshot.ids, np.fromiter(campaigns, np.int64, len(campaigns)))
    found = np.flatnonzero(wanted[postings.campaign]) if wanted.any() else np.zeros(0, np.int64)
    fence = np.searchsorted(postings.ptr, found, side="right") - 1
    return frozen(fence, np.int32), frozen(postings.campaign[found], np.int32)
