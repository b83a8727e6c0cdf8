"""A small part beside a snapshot's large ones: what some campaigns say by now. Pure.

An edit among a hundred thousand campaigns would else wait until all of them are compiled. A delta is counted from its
base, so each replaces the one before. Where a campaign asks for a fence or a threshold the base lacks, there is none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geo.index import FenceIndex
from offers.catalogue import CampaignRow
from offers.errors import BrokenSnapshot
from offers.grounds import fence_id, outline_of
from offers.intervals import ALWAYS, Interval, IntervalTable
from offers.live import LiveCampaign
from offers.places import Places
from offers.resolve import LeftOut, ProductCodes, live
from offers.snapshot import Postings, Snapshot
from offers.timetable import Timetable, week_key

MAGIC = b"CANDLED1"


class Delta(Struct, frozen=True):
    """`changed`: ids of all campaigns of which it speaks; those not among `campaigns` are live no more. A posting is
    (fence id, campaign id, row of `weeks` or ALWAYS)."""

    changed: tuple[int, ...]
    campaigns: tuple[LiveCampaign, ...]
    postings: tuple[tuple[int, int, int], ...]
    weeks: tuple[tuple[Interval, ...], ...]


def delta(
    base: Snapshot,
    changed: Collection[int],
    rows: Sequence[CampaignRow],
    places: Mapping[int, Places],
    products: ProductCodes,
) -> Delta | None:
    """What *base* does not say of the *changed* campaigns, of which *rows* are live; None where only a compile can."""
    timetable = Timetable(base.from_ms, base.until_ms)
    campaigns: list[LiveCampaign] = []
    postings: list[tuple[int, int, int]] = []
    for row in sorted(rows, key=lambda row: row.id):
        try:
            campaign = live(row, products)
        except LeftOut:
            return None
        fences = _fences(row, places.get(row.retailer), base, campaign)
        if fences is None:
            return None
        key = week_key(row.spec.schedule)
        postings += [(fence, row.id, timetable.schedule(row.spec.schedule, key, zone)) for fence, zone in fences]
        campaigns.append(campaign)
    weeks = tuple(tuple(row) for row in timetable.weeks)
    return Delta(tuple(sorted(changed)), tuple(campaigns), tuple(sorted(postings)), weeks)


def _fences(
    row: CampaignRow, places: Places | None, base: Snapshot, campaign: LiveCampaign
) -> list[tuple[int, str]] | None:
    """[(fence id, zone of its store)] of a campaign, None when the base lacks one of them or its dwell."""
    if places is None or not (stores := places.of(row.spec)):
        return None
    drawn = places.outlines(row.spec)
    found = [
        (fence_id(store.id, outline_of(row.spec.radius_m, geometry)), store.zone)
        for store in stores
        for geometry in drawn.get(store.code, [None])
    ]
    at = base.fences.position_of(np.array([fence for fence, _ in found], np.int64))
    if (at < 0).any() or (campaign.trigger == "dwell" and not _all_wait(base.fences, at, campaign.dwell_s)):
        return None
    return found


def _all_wait(fences: FenceIndex, at: npt.NDArray[np.int32], dwell_s: int) -> bool:
    ptr, waits = fences.dwell_ptr, fences.dwell_s
    return all(dwell_s in waits[ptr[f] : ptr[f + 1]] for f in at.tolist())


def applied(base: Snapshot, change: Delta) -> Snapshot:
    """*base* with what *change* says in its place; shares all that stays."""
    campaigns = _campaigns(base, change)
    stays = ~np.isin(base.ids, np.array(change.changed, np.int64))
    return Snapshot(
        fences=base.fences,
        fence_store=base.fence_store,
        postings=_postings(base, campaigns, change),
        campaigns=campaigns,
        table=base.table.changed(stays, change.campaigns),
        hours=base.hours,
        schedules=_schedules(base.schedules, change.weeks),
        from_ms=base.from_ms,
        until_ms=base.until_ms,
        products=base.products,
        skipped=base.skipped,
    )


def _campaigns(base: Snapshot, change: Delta) -> tuple[LiveCampaign, ...]:
    gone = frozenset(change.changed)
    both = [*(c for c in base.campaigns if c.id not in gone), *change.campaigns]
    return tuple(sorted(both, key=lambda campaign: campaign.id))


def _postings(base: Snapshot, campaigns: Sequence[LiveCampaign], change: Delta) -> Postings:
    """Old postings at the campaigns' new places, without those of changed ones, and the new ones among them."""
    old, ids = base.postings, np.array([campaign.id for campaign in campaigns], np.int64)
    stays = ~np.isin(base.ids, np.array(change.changed, np.int64))
    new_place = np.searchsorted(ids, base.ids)
    kept = stays[old.campaign]
    fence = np.repeat(np.arange(len(old.ptr) - 1), np.diff(old.ptr))[kept]
    given = np.array(change.postings, np.int64).reshape(-1, 3)
    week = np.where(given[:, 2] == ALWAYS, ALWAYS, given[:, 2] + len(base.schedules))
    fence = np.concatenate([fence, base.fences.position_of(given[:, 0])])
    place = np.concatenate([new_place[old.campaign[kept]], np.searchsorted(ids, given[:, 1])])
    schedule = np.concatenate([old.schedule[kept], week])
    order = np.argsort(fence * (len(ids) + 1) + place, kind="stable")
    return Postings(
        ptr=_frozen(np.concatenate(([0], np.cumsum(np.bincount(fence, minlength=len(old.ptr) - 1)))), np.int64),
        campaign=_frozen(place[order], np.int32),
        schedule=_frozen(schedule[order], np.int32),
        hours=old.hours,
    )


def _schedules(base: IntervalTable, weeks: Sequence[Sequence[Interval]]) -> IntervalTable:
    more = IntervalTable.of(weeks)
    return IntervalTable(
        _frozen(np.concatenate([base.ptr, base.ptr[-1] + more.ptr[1:]]), np.int64),
        _frozen(np.concatenate([base.starts, more.starts]), np.int64),
        _frozen(np.concatenate([base.ends, more.ends]), np.int64),
    )


def _frozen(values: Any, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    array = np.array(values, kind)
    array.flags.writeable = False
    return array


def encode(change: Delta) -> bytes:
    """As a part of a snapshot."""
    return MAGIC + msgspec.msgpack.encode(change, order="deterministic")


def decode(part: bytes | memoryview) -> Delta:
    """Inverse of `encode`; raises `BrokenSnapshot`."""
    if bytes(part[: len(MAGIC)]) != MAGIC:
        raise BrokenSnapshot(f"the delta is not of the version {MAGIC.decode()}")
    try:
        return msgspec.msgpack.decode(part[len(MAGIC) :], type=Delta)
    except msgspec.MsgspecError as error:
        raise BrokenSnapshot(f"the delta cannot be read: {error}") from error
