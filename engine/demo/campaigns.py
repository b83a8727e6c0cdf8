"""The demo's campaigns: real coupons of the purchase data, put at real shops that are open now.

Percentages, products and the split into types come from the data; places, triggers, caps and budgets are ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from engine.demo.chains import CHAINS, Chain, chain_of, store_code
from engine.demo.city import ZONE, City, Shop, spread_out
from engine.demo.households import Coupon, Households
from engine.demo.receipts import product_code
from offers.campaign import Audience, Bought, Campaign, Cap, Creative, Offer, Schedule, SearchTerms, Window
from offers.errors import InvalidHours
from offers.hours import open_intervals

LIVE_PLACES, APART_M, RADIUS_M, SEARCH_M = 30, 85.0, 35.0, 150.0
DWELL_S, PLAIN_PERCENT = 25, 10
OPEN_FOR_MS = 3 * 3_600_000
SCARCE_COUPONS, PLENTY = 12, 50_000
SCARCE = frozenset({"groceries", "lunch"})
MOST_PRODUCTS, MOST_CATEGORIES = 50, 4
VALID_S = 3 * 3600
COUNTRY = "FI"
_SEPARATORS = re.compile(r"/|-| & ")  # the data's categories are shelf labels
NOTICE = (
    "Campaigns: percentages and products of real coupons in the purchase data; "
    "places, triggers, caps and budgets are this demo's own."
)


@dataclass(frozen=True)
class Placed:
    """A campaign and whose it is; `scarce` is the one that is meant to run out."""

    chain: Chain
    campaign: Campaign
    scarce: bool = False


def open_at(shop: Shop, now_ms: int, for_ms: int = OPEN_FOR_MS) -> bool:
    """Whether the shop is surely open from now on for that long."""
    if shop.hours is None:
        return False
    try:
        spans = open_intervals(shop.hours, ZONE, COUNTRY, now_ms, now_ms + for_ms)
    except InvalidHours:
        return False
    return spans == [(now_ms, now_ms + for_ms)]


def live_places(city: City, now_ms: int) -> Sequence[Shop]:
    """Where campaigns run: open shops of the chains, far enough from each other."""
    suits = partial(_suits, now_ms=now_ms)
    return spread_out(city, LIVE_PLACES, suits, APART_M)


def _suits(shop: Shop, now_ms: int) -> bool:
    return chain_of(shop) is not None and open_at(shop, now_ms)


def campaigns(places: Sequence[Shop], data: Households, known: frozenset[int], now_ms: int) -> list[Placed]:
    """The campaigns of every chain that has a live place; *known* are the products uploaded."""
    found: list[Placed] = []
    for chain in CHAINS:
        shops = [shop for shop in places if chain_of(shop) is chain]
        if shops:
            found += _of_chain(chain, shops, _templates(chain, data, known), now_ms)
    return found


@dataclass(frozen=True)
class _Template:
    """What a coupon of the data lends to a campaign."""

    percent: int
    products: tuple[int, ...]
    categories: tuple[str, ...]

    @property
    def words(self) -> str:
        """The first categories for a person to read."""
        return " and ".join(_SEPARATORS.split(category)[0].strip().lower() for category in self.categories[:2])


def _templates(chain: Chain, data: Households, known: frozenset[int]) -> list[_Template]:
    """Of the chain's coupons, most redeemed first; at least one, made of its products, where the data has none."""
    own = {one.product_id for one in data.products.values() if one.department in chain.departments} & known
    coupons = [
        coupon for coupon in data.coupons if coupon.department in chain.departments and own & {*coupon.product_ids}
    ]
    found = [_template(coupon, own, data) for coupon in coupons]
    return found or [_template(Coupon(0, "A", tuple(sorted(own)), 0, None, ""), own, data)]


def _template(coupon: Coupon, own: set[int], data: Households) -> _Template:
    products = [product_id for product_id in coupon.product_ids if product_id in own]
    categories = Counter(
        data.products[product_id].category for product_id in products if data.products[product_id].category
    )
    ranked = sorted(categories, key=lambda category: (-categories[category], category))
    return _Template(coupon.percent_off or 20, tuple(products[:MOST_PRODUCTS]), tuple(ranked[:MOST_CATEGORIES]))


def _of_chain(chain: Chain, shops: Sequence[Shop], templates: Sequence[_Template], now_ms: int) -> list[Placed]:
    """Few campaigns a place: a welcome, one for regulars, one for who stays, one for who searches; some more."""
    shared = base(chain, shops, now_ms)
    first, second, third = (templates[n % len(templates)] for n in range(3))
    weekend = Schedule(weekly=[Window(days=["sat", "sun"], start="08:00", end="22:00")])
    regulars = Audience(bought=Bought(categories=list(first.categories), within_days=60))
    asked = SearchTerms(categories=list(third.categories))
    plain = _Template(PLAIN_PERCENT, (), (chain.thing,))
    found = [
        _offered(shared, "welcome", plain, schedule=weekend),
        _offered(shared, "regulars", first, priority=10, audience=regulars),
        _offered(shared, "stay", second, trigger="dwell", dwell_s=DWELL_S),
        _offered(shared, "asked", third, trigger="search", radius_m=SEARCH_M, search=asked, stores=shared.stores[:1]),
    ]
    placed = [Placed(chain, campaign) for campaign in found]
    return placed + _more(chain, shared, plain)


def _more(chain: Chain, shared: Campaign, plain: _Template) -> list[Placed]:
    """A campaign that never runs on a Saturday, and two that soon run out."""
    found = []
    if chain.thing == "lunch":
        weekdays = Schedule(weekly=[Window(days=["mon", "tue", "wed", "thu", "fri"], start="10:30", end="14:00")])
        found.append(Placed(chain, _offered(shared, "weekdays", replace(plain, percent=25), schedule=weekdays)))
    if chain.thing in SCARCE:
        few = _offered(shared, "early", replace(plain, percent=40), priority=20, budget_coupons=SCARCE_COUPONS)
        found.append(Placed(chain, few, scarce=True))
    return found


def base(chain: Chain, shops: Sequence[Shop], now_ms: int) -> Campaign:
    """What the chain's campaigns share."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return Campaign(
        code="base",
        name=chain.name,
        trigger="enter",
        stores=[store_code(shop) for shop in shops],
        radius_m=RADIUS_M,
        starts_at=now - timedelta(hours=1),
        ends_at=now + timedelta(days=30),
        cap=Cap(coupons=1, per_days=7),
        budget_coupons=PLENTY,
        offer=Offer(kind="percent_off", percent=10, valid_for_s=VALID_S),
        creative=Creative(title=chain.name, body=f"{chain.name}: show this coupon at the till within three hours."),
    )


def offered_everybody(shared: Campaign, code: str, thing: str) -> Campaign:
    """A plain offer for whoever comes."""
    return _offered(shared, code, _Template(PLAIN_PERCENT, (), (thing,)))


def _offered(shared: Campaign, code: str, template: _Template, **changes: Any) -> Campaign:
    """*shared* with the template's offer and words, and *changes* of other fields."""
    products = [product_code(product_id) for product_id in template.products]
    offer = msgspec.structs.replace(shared.offer, percent=template.percent, products=products)
    title = f"{template.percent} % off {template.words}"
    creative = msgspec.structs.replace(shared.creative, title=title)
    name = f"{shared.name}: {code}"
    return msgspec.structs.replace(shared, code=code, name=name, offer=offer, creative=creative, **changes)
