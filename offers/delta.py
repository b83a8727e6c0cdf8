"""A small part beside a snapshot's large ones: what some campaigns say by now, and the fences only they ask for. Pure.

An edit among a hundred thousand campaigns would else wait until all of them are compiled. A delta is counted from its
base, so each replaces the one before; the next compile makes one of both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec
import numpy as np
from msgspec import Struct

from geo.compiling import Fence
from geo.fence import Circle
from geo.geojson import polygon_of
from offers.catalogue import CampaignRow
from offers.compile import Lookup, resolved
from offers.errors import BrokenSnapshot
from offers.grounds import Ground, Where, gathered
from offers.intervals import Interval
from offers.live import LiveCampaign, Skipped
from offers.resolve import LeftOut
from offers.snapshot import Snapshot
from offers.timetable import Timetable, week_key

MAGIC = b"CANDLED2"

Rows = tuple[tuple[Interval, ...], ...]


class NewGround(Struct, frozen=True):
    """A fence that the base lacks."""

    fence: int
    store: int
    lat: float
    lng: float
    radius_m: float
    geometry: bytes | None
    """GeoJSON, in place of the circle."""
    dwells_s: tuple[int, ...]
    hours: int
    """Row of the delta's `hours`, or UNKNOWN."""

    def drawn(self) -> Fence:
        """For the index."""
        if self.geometry is None:
            return Circle(self.fence, self.lat, self.lng, self.radius_m, self.dwells_s)
        return polygon_of(self.fence, msgspec.json.decode(self.geometry), self.dwells_s)


class Delta(Struct, frozen=True, kw_only=True):
    """`changed`: ids of all campaigns of which it speaks; those not among `campaigns` are live no more. A posting is
    (fence id, campaign id, row of `weeks` or ALWAYS)."""

    changed: tuple[int, ...]
    campaigns: tuple[LiveCampaign, ...]
    skipped: tuple[Skipped, ...]
    postings: tuple[tuple[int, int, int], ...]
    grounds: tuple[NewGround, ...]
    """In ascending id of their fences."""
    dwells: tuple[tuple[int, tuple[int, ...]], ...]
    """(Fence id, all its thresholds) where campaigns wait for more of a fence of the base than anybody did before."""
    weeks: Rows
    hours: Rows


def delta(base: Snapshot, changed: Collection[int], rows: Sequence[CampaignRow], sources: Lookup) -> Delta | None:
    """What *base* does not say of the *changed* campaigns, of which *rows* are live. None where only a compile can: the
    hash of a new fence is the id of another one."""
    campaigns: list[LiveCampaign] = []
    where: dict[int, Where] = {}
    skipped: list[Skipped] = []
    for row in sorted(rows, key=lambda row: row.id):
        try:
            campaign, where[row.id] = resolved(row, sources)
            campaigns.append(campaign)
        except LeftOut as gone:
            skipped.append(Skipped(campaign=row.id, why=str(gone)))
    specs = {row.id: row.spec for row in rows}
    grounds = gathered(campaigns, where, specs)
    timetable = Timetable(base.from_ms, base.until_ms)
    new, dwells = _fences(base, grounds, timetable)
    if new is None:
        return None
    weeks = {number: week_key(spec.schedule) for number, spec in specs.items()}
    postings = [
        (fence, one.id, timetable.schedule(specs[one.id].schedule, weeks[one.id], ground.store.zone))
        for fence, ground in grounds.items()
        for one in (campaigns[place] for place in ground.places)
    ]
    return Delta(
        changed=tuple(sorted(changed)),
        campaigns=tuple(campaigns),
        skipped=tuple(skipped),
        postings=tuple(postings),
        grounds=tuple(new),
        dwells=tuple(dwells.items()),
        weeks=tuple(map(tuple, timetable.weeks)),
        hours=tuple(map(tuple, timetable.opening)),
    )


def _fences(
    base: Snapshot, grounds: Mapping[int, Ground], timetable: Timetable
) -> tuple[list[NewGround] | None, dict[int, tuple[int, ...]]]:
    """(Those that the base lacks, thresholds that its own lack); None in place of the first as `delta` says."""
    new: list[NewGround] = []
    dwells: dict[int, tuple[int, ...]] = {}
    index = base.fences
    places = index.position_of(np.fromiter(grounds, np.int64, len(grounds))).tolist()
    for (fence, ground), at in zip(grounds.items(), places, strict=True):
        asked = ground.dwells_s
        if at < 0:
            new.append(_new(fence, ground, asked, timetable.hours(ground.store)))
            continue
        if base.fence_store[at] != ground.store.id:
            return None, {}
        known = index.dwell_s[index.dwell_ptr[at] : index.dwell_ptr[at + 1]].tolist()
        if not set(asked).issubset(known):
            dwells[fence] = tuple(sorted({*known, *asked}))
    return new, dwells


def _new(fence: int, ground: Ground, dwells_s: tuple[int, ...], hours: int) -> NewGround:
    store, geometry = ground.store, ground.geometry
    drawn = None if geometry is None else msgspec.json.encode(geometry, order="deterministic")
    return NewGround(fence, store.id, store.lat, store.lng, ground.radius_m, drawn, dwells_s, hours)


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
