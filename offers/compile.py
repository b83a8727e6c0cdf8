"""Everything live → one snapshot. Pure, and independent of order: permuted rows compile to the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.compiling import Fence
from geo.index import FenceIndex
from offers.campaign import DAY_MS, Campaign
from offers.campaigns import CampaignTable
from offers.catalogue import CampaignRow, Catalogue, ProductRow
from offers.grounds import Ground, Where, by_retailer, drawable, fences, gathered, why_not_drawn
from offers.live import LiveCampaign, Skipped
from offers.places import Places
from offers.places import by_retailer as places_of
from offers.products import ProductTable
from offers.resolve import LeftOut, live
from offers.snapshot import Postings, Snapshot
from offers.timetable import Timetable, week_key

# The engine compiles anew every day; the week more lets it be late.
PAST_DAYS = 1
AHEAD_DAYS = 9

NOWHERE = Places({})
Build = Callable[[Sequence[Fence]], FenceIndex]


def compile_snapshot(catalogue: Catalogue, now_ms: int, build: Build = FenceIndex.build) -> Snapshot:
    """The snapshot of *catalogue*. A campaign whose parts vanished is left out and listed in `skipped`. *build* is told
    by who wants to know how far it is, or has threads to lend.

    Hours are known from the day before *now_ms* to at least eight days after it, by whole UTC days: compiling the
    same catalogue twice on one day gives the same bytes.
    """
    today = now_ms // DAY_MS
    timetable = Timetable((today - PAST_DAYS) * DAY_MS, (today + AHEAD_DAYS) * DAY_MS)
    campaigns, where, skipped = _resolved(catalogue)
    specs = {row.id: row.spec for row in catalogue.campaigns}
    grounds = gathered(campaigns, where, specs)
    return Snapshot(
        fences=build(fences(grounds)),
        fence_store=_frozen([ground.store.id for ground in grounds.values()], np.int64),
        postings=_postings(grounds, [specs[campaign.id] for campaign in campaigns], timetable),
        campaigns=tuple(campaigns),
        table=CampaignTable.of(campaigns),
        hours=timetable.hours_table(),
        schedules=timetable.schedules_table(),
        from_ms=timetable.from_ms,
        until_ms=timetable.until_ms,
        products=ProductTable.of(catalogue.products),
        skipped=tuple(skipped),
    )


Lookup = tuple[dict[int, Places], dict[tuple[int, str], ProductRow]]


def lookup(catalogue: Catalogue) -> Lookup:
    """Where campaigns may be, by retailer, and which products they may name, by retailer and code."""
    places = places_of(by_retailer(catalogue.stores), catalogue.areas)
    return places, {(row.retailer, row.code): row for row in catalogue.products}


def _resolved(catalogue: Catalogue) -> tuple[list[LiveCampaign], dict[int, Where], list[Skipped]]:
    """Campaigns in ascending id, where each is by its id, and those left out."""
    sources = lookup(catalogue)
    campaigns: list[LiveCampaign] = []
    where: dict[int, Where] = {}
    skipped: list[Skipped] = []
    for row in sorted(catalogue.campaigns, key=lambda row: row.id):
        try:
            campaign, where[row.id] = resolved(row, sources)
            campaigns.append(campaign)
        except LeftOut as gone:
            skipped.append(Skipped(campaign=row.id, why=str(gone)))
    return campaigns, where, skipped


def resolved(row: CampaignRow, sources: Lookup) -> tuple[LiveCampaign, Where]:
    """The campaign as it runs, and where; raises `LeftOut`."""
    places, products = sources
    where = _where(row, places.get(row.retailer, NOWHERE))
    return live(row, products), where


def _where(row: CampaignRow, places: Places) -> Where:
    stores = places.of(row.spec)
    if not drawable(0.0, 0.0, row.spec.radius_m):
        raise LeftOut(f"no circle has a radius of {row.spec.radius_m} m")
    if not stores:
        raise LeftOut("none of its stores is in the catalogue any more")
    for area in row.spec.areas:
        if (why := why_not_drawn(area.geometry)) is not None:
            raise LeftOut(f"the area of {area.store} cannot be drawn: {why}")
    return stores, places.outlines(row.spec) if row.spec.areas or row.spec.drawn else {}


def _postings(grounds: Mapping[int, Ground], specs: Sequence[Campaign], timetable: Timetable) -> Postings:
    weeks = [week_key(spec.schedule) for spec in specs]
    counts = [len(ground.places) for ground in grounds.values()]
    schedule = [
        timetable.schedule(specs[place].schedule, weeks[place], ground.store.zone)
        for ground in grounds.values()
        for place in ground.places
    ]
    return Postings(
        ptr=_frozen(np.concatenate(([0], np.cumsum(counts))), np.int64),
        campaign=_frozen([place for ground in grounds.values() for place in ground.places], np.int32),
        schedule=_frozen(schedule, np.int32),
        hours=_frozen([timetable.hours(ground.store) for ground in grounds.values()], np.int32),
    )


def _frozen(values: npt.ArrayLike, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    array = np.array(values, kind)
    array.flags.writeable = False
    return array
