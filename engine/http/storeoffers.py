"""Live offers by store, as a search shows them. Who gets a coupon is the matcher's decision, not the search's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.http.nearby import NearStore
from engine.http.wire import from_ms
from engine.postgres import queries
from offers.campaign import Campaign, Offer
from offers.catalogue import fold

MOST_CAMPAIGNS = 500


class Offered(msgspec.Struct, frozen=True):
    """An offer that is live in a store."""

    campaign: int
    title: str
    offer: Offer


@dataclass(frozen=True)
class StoreOffer:
    """An offer and the products it is for."""

    offered: Offered
    products: frozenset[str]

    def covers(self, product: str | None) -> bool:
        """Whether the offer concerns a product of this code; one without products concerns the whole store."""
        return not self.products or product in self.products


async def live_offers(connection: Any, stores: Mapping[int, NearStore], now_ms: int) -> dict[int, list[StoreOffer]]:
    """Store id → offers live there now, the higher priority first."""
    retailers = sorted({store.retailer for store in stores.values()})
    rows = queries.search.live_campaigns(connection, retailers=retailers, now=from_ms(now_ms), most=MOST_CAMPAIGNS)
    found: dict[int, list[StoreOffer]] = {}
    async for row in rows:
        campaign = msgspec.convert(row["spec"], Campaign)
        offer = StoreOffer(
            Offered(row["id"], campaign.creative.title, campaign.offer), frozenset(campaign.offer.products)
        )
        meant = _Meant(campaign, row["drawn"])
        for store in stores.values():
            if store.retailer == row["retailer"] and meant.holds(store):
                found.setdefault(store.id, []).append(offer)
    return found


class _Meant:
    """Which stores a campaign is for, asked of one store at a time (`offers.places` answers for all at once)."""

    def __init__(self, campaign: Campaign, drawn: Sequence[str]) -> None:
        self._everywhere = campaign.everywhere
        self._codes = frozenset((*campaign.stores, *drawn))
        self._tags = frozenset(map(fold, campaign.tags))
        self._cities = frozenset(map(fold, campaign.cities))

    def holds(self, store: NearStore) -> bool:
        if self._everywhere or store.code in self._codes or (store.city and fold(store.city) in self._cities):
            return True
        return not self._tags.isdisjoint(map(fold, store.tags))
