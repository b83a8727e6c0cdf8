"""All that is live, compiled into read-only arrays: what the matcher decides with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from geo.arrays import frozen
from geo.index import FenceIndex
from geo.records import Kind as Transition
from offers.campaigns import CampaignTable
from offers.intervals import IntervalTable
from offers.kernels.records import Kind, World
from offers.live import LiveCampaign, Skipped
from offers.products import ProductTable

_CALLS = np.zeros(max(Kind) + 1, np.uint8)
"""Kind of a campaign → transition that calls it up; 0 for none."""
for _one in Transition:
    _CALLS[Kind[_one.name]] = Transition.ENTER if _one is Transition.START else _one

Longs = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """Fence → campaigns (CSR) and the hours that hold there. Rows are those of `Snapshot.schedules` and `.hours`."""

    ptr: Longs
    """i8[F + 1]: fence f owns postings ptr[f] .. ptr[f + 1] - 1, in ascending place of campaign."""
    campaign: Ints
    """i4[M]: place in `Snapshot.campaigns`."""
    schedule: Ints
    """i4[M]: row of the campaign's weekly hours in the zone of the store; ALWAYS."""
    hours: Ints
    """i4[F]: row of the store's opening hours; UNKNOWN."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Read-only and shared; a new catalogue is a new snapshot."""

    fences: FenceIndex
    """F fences; ids are stable hashes of store and radius."""
    fence_store: Longs
    """i8[F]: the store of each fence of the index."""
    postings: Postings
    campaigns: tuple[LiveCampaign, ...]
    """In ascending id."""
    table: CampaignTable
    """What is asked of them, in the same order."""
    hours: IntervalTable
    schedules: IntervalTable
    from_ms: int
    until_ms: int
    """Hours and schedules are known within [from_ms, until_ms) only."""
    products: ProductTable
    skipped: tuple[Skipped, ...] = ()
    by_id: Mapping[int, LiveCampaign] = field(init=False)
    ids: Longs = field(init=False)
    """i8[C]: of `campaigns`, in their order."""
    world: World = field(init=False)
    """All of it, as kernels have it."""
    _called: npt.NDArray[np.bool_] = field(init=False)
    """b[kinds, F]: whether a campaign of the fence waits for such a transition."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {campaign.id: campaign for campaign in self.campaigns})
        object.__setattr__(self, "ids", np.fromiter(self.by_id, np.int64, len(self.by_id)))
        object.__setattr__(self, "world", self._world())
        object.__setattr__(self, "_called", self._calls())

    def _world(self) -> World:
        table, postings, products = self.table, self.postings, self.products
        return World(
            campaigns=table.rows,
            wanted=table.wanted,
            ptr=frozen(postings.ptr, np.int64),
            campaign=frozen(postings.campaign, np.int32),
            schedule=frozen(postings.schedule, np.int32),
            fence_hours=frozen(postings.hours, np.int32),
            fence_store=frozen(self.fence_store, np.int64),
            radius_m=frozen(self.fences.radius_m, np.float64),
            hours=self.hours.columns,
            schedules=self.schedules.columns,
            span=frozen([self.from_ms, self.until_ms], np.int64),
            product=frozen(products.arrays["ids"], np.int64),
            product_retailer=frozen(products.arrays["retailer"], np.int64),
            product_brand=frozen(products.arrays["brand"], np.int32),
            product_category=frozen(products.arrays["category"], np.int32),
            word=products.keys,
        )

    def calls(self, kind: Ints, fence: Ints) -> npt.NDArray[np.bool_]:
        """b[m]: whether any campaign waits for a transition of *kind* at the fence in that position."""
        called: npt.NDArray[np.bool_] = self._called[kind, fence]
        return called

    def _calls(self) -> npt.NDArray[np.bool_]:
        """A start is answered by whoever began. Who is found in a new fence enters it, and meets
        what goes to who is inside at the start."""
        called = np.zeros((max(Transition) + 1, len(self.fence_store)), np.bool_)
        fences = np.repeat(np.arange(len(self.fence_store)), np.diff(self.postings.ptr))
        called[_CALLS[self.table.rows["kind"]][self.postings.campaign], fences] = True
        called[0], called[Transition.START] = False, True
        return called

    @classmethod
    def empty(cls) -> Snapshot:
        """A snapshot in which nothing is live."""
        return cls(
            fences=FenceIndex.build([]),
            fence_store=np.zeros(0, np.int64),
            postings=Postings(np.zeros(1, np.int64), *([np.zeros(0, np.int32)] * 3)),
            campaigns=(),
            table=CampaignTable.of(()),
            hours=IntervalTable.of([]),
            schedules=IntervalTable.of([]),
            from_ms=0,
            until_ms=0,
            products=ProductTable.of([]),
        )
