"""How much a customer's purchases speak for an offer: a pure function of what was bought and when.

A purchase weighs log2(1 + quantity), since somebody who buys fuel by the litre is not ten thousand times as fond of
it, and loses half of that every 30 days. What the offer's products, their brands, their categories and its retailer
add up to are four terms; their sum is the affinity. Decayed purchases of a coupon's products are the strongest
untrained signal for its redemption in the Complete Journey data (area under the curve .865 against .776 for
popularity), and the terms are those a trained score will weigh.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from operator import itemgetter
from typing import NamedTuple, TypeVar

from offers.campaign import DAY_MS
from offers.history import Purchase
from offers.live import LiveCampaign
from offers.products import Kind, ProductTable

HALF_LIFE_DAYS = 30.0
# Chosen by hand, each half as telling as the one before.
PRODUCT, BRAND, CATEGORY, RETAILER = 1.0, 0.5, 0.25, 0.125

K = TypeVar("K", bound=Hashable)
_purchase = itemgetter(0)

EVERYBODY = 0
"""The retailer under which brands and categories count across retailers (ids of retailers start at 1)."""


class Bought(NamedTuple):
    """A purchase with what its product is; `kind` None for a product no longer in the catalogue."""

    purchase: Purchase
    kind: Kind | None


Tally = Mapping[K, float]
"""Key → summed weight."""


class Profile(NamedTuple):
    """A customer's decayed purchases. Brands and categories go by retailer, or all together under EVERYBODY."""

    product: Tally[int]
    brand: Mapping[int, Tally[str]]
    category: Mapping[int, Tally[str]]
    retailer: Tally[int]


def looked_up(purchases: Sequence[Purchase], products: ProductTable) -> list[Bought]:
    """The purchases, each with its product's kind."""
    kind = products.kind
    return [Bought(purchase, kind(purchase.product)) for purchase in purchases]


def weight(purchase: Purchase, now_ms: int) -> float:
    """log2(1 + quantity), halved every 30 days; a purchase dated after now counts as of now."""
    age_days = max(0, now_ms - purchase.at_ms) / DAY_MS
    return math.log2(1 + purchase.quantity) * math.exp2(-age_days / HALF_LIFE_DAYS)


def profile(history: Iterable[Bought], cross_retailer: bool, now_ms: int) -> Profile:
    """What the purchases add up to; with *cross_retailer* brands and categories count for every retailer.

    They are added in ascending order, so that the order of *history* does not matter to the last bit.
    """
    product: dict[int, float] = {}
    retailer: dict[int, float] = {}
    brand: dict[int, dict[str, float]] = defaultdict(dict)
    category: dict[int, dict[str, float]] = defaultdict(dict)
    for purchase, kind in sorted(history, key=_purchase):
        heft = weight(purchase, now_ms)
        product[purchase.product] = product.get(purchase.product, 0.0) + heft
        if kind is not None:
            retailer[kind.retailer] = retailer.get(kind.retailer, 0.0) + heft
            owner = EVERYBODY if cross_retailer else kind.retailer
            _add(brand[owner], kind.brand, heft)
            _add(category[owner], kind.category, heft)
    return Profile(product, brand, category, retailer)


def _add(tally: dict[str, float], word: str | None, heft: float) -> None:
    if word is not None:
        tally[word] = tally.get(word, 0.0) + heft


def terms(known: Profile, campaign: LiveCampaign, cross_retailer: bool) -> dict[str, float]:
    """The terms of the affinity that are not zero, by name; their sum is the affinity."""
    if not known.product:
        return {}
    owner = EVERYBODY if cross_retailer else campaign.retailer
    covered = campaign.covered
    each = {
        "affinity_product": PRODUCT * _met(known.product, covered.products),
        "affinity_brand": BRAND * _met(known.brand.get(owner, {}), covered.brands),
        "affinity_category": CATEGORY * _met(known.category.get(owner, {}), covered.categories),
        "affinity_retailer": RETAILER * known.retailer.get(campaign.retailer, 0.0),
    }
    return {name: share for name, share in each.items() if share}


def _met(tally: Tally[K], wanted: Set[K]) -> float:
    return math.fsum(tally[key] for key in tally.keys() & wanted) if tally and wanted else 0.0
