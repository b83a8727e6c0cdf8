"""A campaign as uploaded → as the matcher uses it: codes become ids of the retailer's own products."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from offers.campaign import DAY_MS, Bought, Offer, SearchTerms
from offers.catalogue import CampaignRow, ProductRow, fold
from offers.coupon import discount_minor
from offers.live import LiveAudience, LiveCampaign, Wanted

# What a percentage is worth depends on a basket not yet filled: 20.00 in a currency with two decimals, or the
# least basket that the offer asks for.
NOMINAL_BASKET_MINOR = 2_000

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ANYTHING = Wanted()

ProductCodes = Mapping[tuple[int, str], ProductRow]


class LeftOut(Exception):
    """The campaign cannot run: a part without which it would mean something else is not there."""


def live(row: CampaignRow, products: ProductCodes) -> LiveCampaign:
    """*row* with its codes resolved; raises `LeftOut` with a sentence.

    A code that is gone is left out while others remain; a list of which nothing remains does not turn into
    "everything", it takes the campaign out.
    """
    spec = row.spec
    if spec.trigger == "start" and not spec.delivery.inside:
        raise LeftOut("it goes to its whole audience, nobody is matched")
    if spec.trigger == "dwell" and spec.dwell_s < 1:
        raise LeftOut("it waits for a dwell of no seconds")
    if spec.trigger == "approach" and spec.eta_minutes < 1:
        raise LeftOut("it waits for an approach of no minutes")
    return LiveCampaign(
        id=row.id,
        retailer=row.retailer,
        code=spec.code,
        trigger=spec.trigger,
        dwell_s=spec.dwell_s,
        lead_s=60 * spec.eta_minutes,
        starts_ms=_ms(spec.starts_at),
        ends_ms=_ms(spec.ends_at),
        only_while_open=spec.schedule.only_while_open,
        priority=spec.priority,
        cap_coupons=spec.cap.coupons,
        cap_ms=spec.cap.per_days * DAY_MS,
        budget_coupons=spec.budget_coupons,
        first_coupons=row.first,
        audience=_audience(spec.audience.bought, row.retailer, products),
        search=_search(row, products),
        covered=_covered(spec.offer, row.retailer, products),
        worth_minor=worth_minor(spec.offer),
        offer=spec.offer,
        creative=spec.creative,
    )


def _audience(bought: Bought | None, retailer: int, products: ProductCodes) -> LiveAudience | None:
    if bought is None:
        return None
    wanted = _wanted(bought, retailer, products)
    if not wanted:
        raise LeftOut("none of the products its audience must have bought is in the catalogue any more")
    return LiveAudience(wanted=wanted, within_ms=bought.within_days * DAY_MS)


def _search(row: CampaignRow, products: ProductCodes) -> Wanted:
    if row.spec.trigger != "search":
        return ANYTHING
    wanted = _wanted(row.spec.search, row.retailer, products) if row.spec.search else ANYTHING
    if not wanted:
        raise LeftOut("none of the products whose search it answers is in the catalogue any more")
    return wanted


def _wanted(terms: Bought | SearchTerms, retailer: int, products: ProductCodes) -> Wanted:
    return Wanted(
        products=frozenset(row.id for row in _known(terms.products, retailer, products)),
        brands=_folded(terms.brands),
        categories=_folded(terms.categories),
    )


def _covered(offer: Offer, retailer: int, products: ProductCodes) -> Wanted:
    if not (offer.products or offer.brands or offer.categories):
        return ANYTHING
    rows = _known(offer.products, retailer, products)
    if offer.products and not (rows or offer.brands or offer.categories):
        raise LeftOut("none of the products it offers is in the catalogue any more")
    return Wanted(
        products=frozenset(row.id for row in rows),
        brands=_folded([*(row.brand for row in rows), *offer.brands]),
        categories=_folded([*(row.category for row in rows), *offer.categories]),
    )


def _known(codes: Iterable[str], retailer: int, products: ProductCodes) -> list[ProductRow]:
    return [products[retailer, code] for code in codes if (retailer, code) in products]


def _folded(words: Iterable[str | None]) -> frozenset[str]:
    return frozenset(folded for word in words if word and (folded := fold(word)))


def _ms(at: datetime) -> int:
    """Whole milliseconds since 1970, in integers throughout."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def worth_minor(offer: Offer) -> int:
    """What the offer would take off a nominal basket, in minor units."""
    return discount_minor(offer, max(NOMINAL_BASKET_MINOR, offer.minimum_purchase_minor))
