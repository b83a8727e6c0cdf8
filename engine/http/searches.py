"""GET /v1/search: words → products and stores around a point, with prices, live offers and opening hours.

Simple and honest: every word must begin a word of the product's name, brand or category (or of the store's name);
ranked by relevance, then by distance, then by id. Ranking by taste belongs to the matcher's memory, not to this query.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta

from engine.http.call import Call
from engine.http.nearby import NearStore, nearby
from engine.http.problems import Fault, Problem
from engine.http.searchlog import log_search, searcher
from engine.http.storeoffers import Offered, StoreOffer, live_offers
from engine.http.wire import Code, Lat, Lng
from engine.postgres import queries

MOST_PRODUCTS = 300
_WORD = re.compile(r"\w+")


class SearchQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is looked for, and around which point. `customer` is for app keys; a token is its own customer."""

    q: Annotated[str, Meta(min_length=1, max_length=200)]
    lat: Lat
    lng: Lng
    radius_m: Annotated[float, Meta(ge=1, le=50_000)] = 2_000.0
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    open_now: bool = False
    customer: Code | None = None


class Found(msgspec.Struct, frozen=True):
    """A product in a store, or the store itself where `product` is null. Prices in minor units."""

    store: str
    store_name: str
    retailer: str
    lat: float
    lng: float
    distance_m: float
    open: bool | None
    product: str | None
    product_name: str | None
    brand: str | None
    price_minor: int | None
    sale_price_minor: int | None
    currency: str
    availability: str | None
    offers: list[Offered]


class Results(msgspec.Struct, frozen=True):
    """The best first."""

    search: UUID
    results: list[Found]


async def search(call: Call) -> Results:
    """Answer, then tell the log."""
    query: SearchQuery = call.query
    words = _WORD.findall(query.q.casefold())
    if not words:
        raise Problem("invalid", errors=[Fault("value", "there is no word in it", "q")])
    who = await searcher(call, query.customer)
    async with call.services.pools.engine.acquire() as connection:
        near = await nearby(connection, query, call.now_ms)
        hits = await _hits(connection, words, near)
        offers = await live_offers(connection, {hit.store.id: hit.store for hit in hits[: query.limit]}, call.now_ms)
    results = Results(uuid4(), [_shown(hit, offers, call.now_ms) for hit in hits[: query.limit]])
    await log_search(call, who, results.search, [hit.row for hit in hits if hit.row is not None])
    return results


@dataclass(frozen=True)
class _Hit:
    """A store, with the product found there or because of its own name; `row` is of `search.find_products`."""

    store: NearStore
    row: Any
    relevance: float

    @property
    def order(self) -> tuple[bool, float, float, int, int]:
        """Sorts the best first; ends in ids, so that it is total."""
        gone = self.row is not None and self.row["availability"] == "out_of_stock"
        product = self.row["product"] if self.row is not None else 0
        return gone, -self.relevance, self.store.distance_m, self.store.id, product


async def _hits(connection: Any, words: list[str], near: dict[int, NearStore]) -> list[_Hit]:
    rows = queries.search.find_products(connection, words=words, stores=list(near), most=MOST_PRODUCTS)
    hits = [_Hit(near[row["store"]], row, round(row["relevance"], 6)) async for row in rows]
    hits += [_Hit(store, None, 1.0) for store in near.values() if _named(store, words)]
    return sorted(hits, key=lambda hit: hit.order)


def _named(store: NearStore, words: list[str]) -> bool:
    """Whether every word begins a word of the store's or retailer's name."""
    names = _WORD.findall(f"{store.name} {store.retailer_name}".casefold())
    return all(any(name.startswith(word) for name in names) for word in words)


def _shown(hit: _Hit, offers: dict[int, list[StoreOffer]], now_ms: int) -> Found:
    store, row = hit.store, hit.row
    code = row["code"] if row is not None else None
    return Found(
        store=store.code,
        store_name=store.name,
        retailer=store.retailer_name,
        lat=store.lat,
        lng=store.lng,
        distance_m=round(store.distance_m, 1),
        open=store.open,
        product=code,
        product_name=row["name"] if row is not None else None,
        brand=row["brand"] if row is not None else None,
        price_minor=row["price_minor"] if row is not None else None,
        sale_price_minor=row["sale_price_minor"] if row is not None else None,
        currency=store.currency,
        availability=row["availability"] if row is not None else None,
        offers=[one.offered for one in offers.get(store.id, ()) if one.covers(code)],
    )
