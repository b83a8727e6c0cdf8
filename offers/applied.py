"""A snapshot with a delta in it. Pure: the base stays as it is, and all that stays the same is shared with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.index import FenceIndex
from geo.merging import merged, with_dwells
from offers.delta import Delta, NewGround, Rows
from offers.intervals import ALWAYS, UNKNOWN, IntervalTable
from offers.live import LiveCampaign, Skipped
from offers.snapshot import Ints, Longs, Postings, Snapshot


def applied(base: Snapshot, change: Delta) -> Snapshot:
    """*base* with what *change* says in its place. Fences that nobody asks for any more stay, without campaigns."""
    campaigns = _campaigns(base, change)
    stays = ~np.isin(base.ids, np.array(change.changed, np.int64))
    fences = _fences(base.fences, change.grounds, change.dwells)
    return Snapshot(
        fences=fences,
        fence_store=_by_fence(base, fences, base.fence_store, [ground.store for ground in change.grounds], change),
        postings=_postings(base, fences, campaigns, change),
        campaigns=campaigns,
        table=base.table.changed(stays, change.campaigns),
        hours=_longer(base.hours, change.hours),
        schedules=_longer(base.schedules, change.weeks),
        from_ms=base.from_ms,
        until_ms=base.until_ms,
        products=base.products,
        skipped=_skipped(base, change),
    )


@lru_cache(maxsize=1)
def _fences(
    index: FenceIndex, grounds: tuple[NewGround, ...], dwells: tuple[tuple[int, tuple[int, ...]], ...]
) -> FenceIndex:
    """With the new ones; most edits bring none more than the one before."""
    at = _positions(index, [fence for fence, _ in dwells])
    found = with_dwells(index, dict(zip(at, (asked for _, asked in dwells), strict=True)))
    return merged(found, FenceIndex.build([ground.drawn() for ground in grounds])) if grounds else found


def _positions(index: FenceIndex, ids: Sequence[int]) -> list[int]:
    at: list[int] = index.position_of(np.array(ids, np.int64)).tolist()
    return at


def _by_fence(base: Snapshot, fences: FenceIndex, old: Any, new: Sequence[int], change: Delta) -> npt.NDArray[Any]:
    """Values of the base's fences, and of the new ones, by their positions among all."""
    found = np.empty(len(fences), old.dtype)
    found[fences.position_of(base.fences.fence)] = old
    found[_positions(fences, [ground.fence for ground in change.grounds])] = new
    return _frozen(found, old.dtype)


def _campaigns(base: Snapshot, change: Delta) -> tuple[LiveCampaign, ...]:
    gone = frozenset(change.changed)
    both = [*(c for c in base.campaigns if c.id not in gone), *change.campaigns]
    return tuple(sorted(both, key=lambda campaign: campaign.id))


def _skipped(base: Snapshot, change: Delta) -> tuple[Skipped, ...]:
    gone = frozenset(change.changed)
    both = [*(one for one in base.skipped if one.campaign not in gone), *change.skipped]
    return tuple(sorted(both, key=lambda one: one.campaign))


def _postings(base: Snapshot, fences: FenceIndex, campaigns: Sequence[LiveCampaign], change: Delta) -> Postings:
    """Old postings at the fences' and campaigns' new places, without those of changed ones, and the new ones among
    them."""
    old, ids = base.postings, np.array([campaign.id for campaign in campaigns], np.int64)
    stays = ~np.isin(base.ids, np.array(change.changed, np.int64))
    new_place = np.searchsorted(ids, base.ids)
    kept = stays[old.campaign]
    fence = np.repeat(fences.position_of(base.fences.fence), np.diff(old.ptr))[kept]
    given = np.array(change.postings, np.int64).reshape(-1, 3)
    fence = np.concatenate([fence, fences.position_of(given[:, 0])]).astype(np.int64)
    place = np.concatenate([new_place[old.campaign[kept]], np.searchsorted(ids, given[:, 1])])
    schedule = np.concatenate([old.schedule[kept], _behind(given[:, 2], ALWAYS, len(base.schedules))])
    order = np.argsort(fence * (len(ids) + 1) + place, kind="stable")
    hours = _behind(np.array([ground.hours for ground in change.grounds], np.int64), UNKNOWN, len(base.hours))
    return Postings(
        ptr=_frozen(np.concatenate(([0], np.cumsum(np.bincount(fence, minlength=len(fences))))), np.int64),
        campaign=_frozen(place[order], np.int32),
        schedule=_frozen(schedule[order], np.int32),
        hours=_by_fence(base, fences, old.hours, hours.tolist(), change),
    )


def _behind(rows: Longs, nothing: int, first: int) -> Longs | Ints:
    """Rows of a table that stands behind *first* others."""
    found: Longs = np.where(rows == nothing, nothing, rows + first)
    return found


def _longer(base: IntervalTable, rows: Rows) -> IntervalTable:
    if not rows:
        return base
    more = IntervalTable.of(rows)
    return IntervalTable(
        _frozen(np.concatenate([base.ptr, base.ptr[-1] + more.ptr[1:]]), np.int64),
        _frozen(np.concatenate([base.starts, more.starts]), np.int64),
        _frozen(np.concatenate([base.ends, more.ends]), np.int64),
    )


def _frozen(values: Any, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    array = np.array(values, kind)
    array.flags.writeable = False
    return array
