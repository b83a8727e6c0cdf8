"""A million live campaigns around ten thousand stores, customers with a past, and what happens to them.

Everything is drawn from the plan's seed. A snapshot is put together from arrays: to compile a million campaigns is not
what is measured here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.bars import Plan
from geo.arrays import Ints, Longs
from geo.fence import Circle
from geo.index import FenceIndex
from offers.budget import Blocks
from offers.campaign import DAY_MS, Creative, Offer
from offers.campaigns import CampaignTable
from offers.caps import Caps
from offers.catalogue import ProductRow
from offers.consent import Consent
from offers.decide import EVENT, TRIGGER, Batch, Books, Kind
from offers.history import History
from offers.intervals import ALWAYS, IntervalTable
from offers.live import LiveAudience, LiveCampaign, Wanted
from offers.products import ProductTable
from offers.snapshot import Postings, Snapshot
from offers.words import word_key

NOW_MS: Final = 1_790_000_000_000
ALL: Final = int(sum(Consent))
RETAILERS: Final = 2_000
BRANDS: Final = 5_000
CATEGORIES: Final = 500
WEEKS: Final = 200
HOURS: Final = 50
_SPREAD: Final = np.log(10.0) / 2.3263
"""Of a log-normal distribution whose 99th percentile is ten times its median."""
_OFFER: Final = Offer(kind="percent_off", percent=10, valid_for_s=3_600)
_CREATIVE: Final = Creative(title="Ten off", body="Today only")
_NOTHING: Final = Wanted()


@dataclass(frozen=True)
class Customers:
    """Row → what they bought (CSR: product, at_ms, quantity) and which coupons they have had (CSR: campaign, at_ms)."""

    bought_ptr: Longs
    bought: tuple[Longs, Longs, Longs]
    coupon_ptr: Longs
    coupons: tuple[Longs, Longs]

    def __len__(self) -> int:
        return len(self.bought_ptr) - 1


@dataclass(frozen=True)
class World:
    """A campaign's id is its place + 1; every fence is of one store with the same place + 1."""

    snapshot: Snapshot
    customers: Customers
    left: Ints
    """i4[C]: coupons left."""

    def books(self) -> Books:
        """Where everybody stands at first."""
        caps, blocks, history, people = Caps(), Blocks(), History(), self.customers
        for row in range(len(people)):
            some = slice(*people.bought_ptr[row : row + 2].tolist())
            for line in zip(*(column[some].tolist() for column in people.bought), strict=True):
                history.note(row, *line)
            some = slice(*people.coupon_ptr[row : row + 2].tolist())
            for campaign, at_ms in zip(*(column[some].tolist() for column in people.coupons), strict=True):
                caps.note(row, campaign, at_ms)
        blocks.begin(dict(zip(self.snapshot.ids.tolist(), self.left.tolist(), strict=True)))
        return Books(caps, blocks, history)

    def wanted(self) -> tuple[Longs, Longs, Longs]:
        """(place of a campaign, list, key), ordered: lists 0 to 2 are products, brands and categories of the audience,
        3 to 5 of what the offer covers."""
        found = []
        for place, campaign in enumerate(self.snapshot.campaigns):
            audience = campaign.audience.wanted if campaign.audience else _NOTHING
            for first, part in ((0, audience), (3, campaign.covered)):
                found += [(place, first, key) for key in part.products]
                found += [(place, first + 1, word_key(word)) for word in part.brands]
                found += [(place, first + 2, word_key(word)) for word in part.categories]
        place, which, key = np.array(sorted(found), np.int64).T
        return place, which, key

    def batch(self, rows: Ints, fences: Ints) -> Batch:
        """The customers in *rows* arrive, each in one of the fences."""
        events, triggers = np.zeros(len(rows), EVENT), np.zeros(len(rows), TRIGGER)
        events["now_ms"], events["row"], events["consents"] = NOW_MS, rows, ALL
        events["trigger"], events["triggers"] = np.arange(len(rows)), 1
        triggers["kind"], triggers["fence"], triggers["search"] = Kind.ENTER, fences, -1
        return Batch(events, triggers)


def world(plan: Plan) -> World:
    """The same for the same plan."""
    random = np.random.default_rng(plan.seed)
    campaigns, fences = plan.count("campaigns"), plan.count("fences")
    products = _products(random, plan.count("products"))
    live = tuple(_campaign(number, random_row) for number, random_row in enumerate(_rows(random, campaigns)))
    snapshot = Snapshot(
        fences=_circles(fences),
        fence_store=np.arange(1, fences + 1),
        postings=_postings(random, plan, campaigns, fences),
        campaigns=live,
        table=CampaignTable.of(live),
        hours=_intervals(random, HOURS, 0.9),
        schedules=_intervals(random, WEEKS, 0.6),
        from_ms=NOW_MS - DAY_MS,
        until_ms=NOW_MS + 9 * DAY_MS,
        products=ProductTable.of(products),
    )
    left = np.where(random.random(campaigns) < plan.number("spent_share"), 0, 1_000_000).astype(np.int32)
    return World(snapshot, _customers(random, plan, campaigns), left)


def _products(random: np.random.Generator, count: int) -> list[ProductRow]:
    columns = zip(
        random.integers(1, RETAILERS + 1, count).tolist(),
        random.integers(0, BRANDS, count).tolist(),
        random.integers(0, CATEGORIES, count).tolist(),
        strict=True,
    )
    return [ProductRow(n + 1, r, str(n), f"brand {b}", f"category {c}") for n, (r, b, c) in enumerate(columns)]


def _rows(random: np.random.Generator, count: int) -> list[tuple[Any, ...]]:
    """What tells campaigns apart: retailer, starts, ends (days from now), open, priority, coupons, cap days, whom it is
    for (products, brands, categories; none: everybody), what it covers, worth.
    """
    audience = random.random(count) < 0.4
    several = random.integers(1, 9, count)
    columns: tuple[NDArray[Any], ...] = (
        random.integers(1, RETAILERS + 1, count),
        random.integers(-60, 5, count),
        random.integers(-5, 60, count),
        random.random(count) < 0.5,
        random.integers(0, 4, count),
        random.integers(1, 4, count),
        random.integers(1, 31, count),
        np.where(audience, several, 0),
        random.integers(1, 100_000, count),
        random.integers(0, BRANDS, count),
        random.integers(0, CATEGORIES, count),
        random.integers(50, 3_000, count),
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _campaign(place: int, row: tuple[Any, ...]) -> LiveCampaign:
    retailer, starts, ends, open_only, priority, coupons, days, several, product, brand, category, worth = row
    audience = None
    if several:
        wanted = Wanted(
            products=frozenset(range(product, product + several)),
            brands=frozenset({f"brand {brand}"}),
            categories=frozenset(f"category {(category + n) % CATEGORIES}" for n in range(several)),
        )
        audience = LiveAudience(wanted=wanted, within_ms=90 * DAY_MS)
    covered = Wanted(products=frozenset({product}), brands=frozenset({f"brand {brand}"})) if place % 2 else _NOTHING
    return LiveCampaign(
        id=place + 1,
        retailer=retailer,
        code=str(place),
        trigger="enter",
        dwell_s=0,
        starts_ms=NOW_MS + starts * DAY_MS,
        ends_ms=NOW_MS + max(ends, starts + 1) * DAY_MS,
        only_while_open=open_only,
        priority=priority,
        cap_coupons=coupons,
        cap_ms=days * DAY_MS,
        budget_coupons=1_000_000,
        audience=audience,
        search=_NOTHING,
        covered=covered,
        worth_minor=worth,
        offer=_OFFER,
        creative=_CREATIVE,
    )


def _circles(count: int) -> FenceIndex:
    """Side by side, a kilometre apart; nobody asks where they are."""
    side = int(np.ceil(np.sqrt(count)))
    return FenceIndex.build([Circle(n, 45.0 + n // side / 111, 5.0 + n % side / 78, 50.0) for n in range(count)])


def _postings(random: np.random.Generator, plan: Plan, campaigns: int, fences: int) -> Postings:
    """How many campaigns a fence has: the workload's median, and ten times as many at the 99th percentile."""
    counts = np.exp(random.normal(np.log(plan.number("candidates")), _SPREAD, fences)).astype(np.int64) + 1
    counts = np.minimum(counts, campaigns)
    chosen = [np.unique(random.integers(0, campaigns, n)) for n in counts.tolist()]
    campaign = np.concatenate(chosen).astype(np.int32)
    ptr = np.concatenate([[0], np.cumsum([len(some) for some in chosen])])
    week = np.where(random.random(len(campaign)) < 0.5, ALWAYS, random.integers(0, WEEKS, len(campaign)))
    return Postings(ptr, campaign, week.astype(np.int32), random.integers(0, HOURS, fences).astype(np.int32))


def _intervals(random: np.random.Generator, rows: int, share: float) -> IntervalTable:
    """Ten days of hours each; now is in so great a *share* of the rows."""
    table = []
    for row in range(rows):
        inside = row < share * rows
        first = NOW_MS - DAY_MS - int(random.integers(1, 6)) * 3_600_000 - (0 if inside else 8 * 3_600_000)
        table.append([(first + day * DAY_MS, first + day * DAY_MS + 8 * 3_600_000) for day in range(10)])
    return IntervalTable.of(table)


def _customers(random: np.random.Generator, plan: Plan, campaigns: int) -> Customers:
    count = plan.count("customers")
    bought = random.poisson(plan.number("purchases"), count)
    coupons = random.poisson(plan.number("coupons"), count)
    lines, notes = int(bought.sum()), int(coupons.sum())
    ago_ms = random.integers(0, 180 * 86_400, lines) * 1000
    return Customers(
        np.concatenate([[0], np.cumsum(bought)]),
        (random.integers(1, plan.count("products") + 1, lines), NOW_MS - ago_ms, random.integers(1, 5, lines)),
        np.concatenate([[0], np.cumsum(coupons)]),
        (random.integers(1, campaigns + 1, notes), NOW_MS - random.integers(0, 30 * DAY_MS, notes)),
    )
