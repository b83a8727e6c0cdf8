"""Products and their prices, uploaded in bulk."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from engine.http.bulk import Uploaded, repeated, uploaded
from engine.http.call import Call
from engine.http.paging import after, next_link
from engine.http.problems import Fault, Problem
from engine.http.references import Codes, codes_of
from engine.http.wire import Code, Currency, Instant, Minor, Number, Text
from engine.postgres import queries

Availability = Literal["in_stock", "limited_availability", "on_display_to_order", "out_of_stock"]
PickupMethod = Literal["buy", "reserve", "ship_to_store", "not_supported"]
PickupSla = Literal[
    "same_day", "next_day", "2_day", "3_day", "4_day", "5_day", "6_day", "7_day", "multi_week"
]  # fmt: skip


class Product(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A product of a retailer."""

    code: Code
    name: Text
    gtin: Annotated[str, Meta(pattern="^([0-9]{8}|[0-9]{12,14})$")] | None = None
    brand: Text | None = None
    category: Text | None = None


class NewProducts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An upload: all of it is stored, or none."""

    products: Annotated[list[Product], Meta(min_length=1, max_length=10_000)]


class StoredProduct(Product, frozen=True):
    """A product as stored."""

    id: Number = msgspec.field(default=0)


class Products(msgspec.Struct, frozen=True):
    """One page."""

    products: list[StoredProduct]
    next: str | None = None


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a product costs in one store, or in every store where none is named."""

    product: Code
    price_minor: Minor
    currency: Currency
    store: Code | None = None
    sale_price_minor: Minor | None = None
    sale_from: Instant | None = None
    sale_until: Instant | None = None
    availability: Availability = "in_stock"
    quantity: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    pickup_method: PickupMethod | None = None
    pickup_sla: PickupSla | None = None


class NewPrices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An upload: all of it is stored, or none."""

    prices: Annotated[list[Price], Meta(min_length=1, max_length=10_000)]


class Priced(msgspec.Struct, frozen=True):
    """How many prices were set."""

    prices: int


async def upload(call: Call, body: NewProducts) -> Uploaded:
    """Insert or replace by code."""
    if faults := repeated([product.code for product in body.products]):
        raise Problem("invalid", errors=faults)
    found = queries.products.upsert_products(call.connection, retailer=call.retailer, rows=body.products)
    return uploaded([row async for row in found])


async def page(call: Call) -> Products:
    """Products by id."""
    rows = queries.products.list_products(call.connection, after=after(call), most=call.query.limit)
    found = [StoredProduct(**dict(row)) async for row in rows]
    return Products(found, next_link(call, [one.id for one in found]))


async def price(call: Call, body: NewPrices) -> Priced:
    """Set prices; each replaces the one of the same product and store."""
    products = {price.product for price in body.prices}
    stores = {price.store for price in body.prices if price.store is not None}
    known = await codes_of(call.connection, call.retailer, products, stores)
    faults = repeated([(price.product, price.store) for price in body.prices], "product")
    faults += [fault for row, price in enumerate(body.prices, 1) for fault in faults_of(price, row, known)]
    if faults:
        raise Problem("invalid", errors=sorted(faults, key=lambda fault: fault.row or 0))
    rows = [
        msgspec.structs.asdict(p) | {"product": known.products[p.product], "store": known.stores.get(p.store or "")}
        for p in body.prices
    ]
    await queries.products.upsert_prices(call.connection, retailer=call.retailer, rows=rows)
    return Priced(len(rows))


def faults_of(price: Price, row: int, known: Codes) -> list[Fault]:
    """What one field's type cannot tell, against the retailer's own codes and currency."""
    faults = []
    if price.product not in known.products:
        faults.append(Fault("unknown_product", "the retailer has no such product", "product", row))
    if price.store is not None and price.store not in known.stores:
        faults.append(Fault("unknown_store", "the retailer has no such store", "store", row))
    if price.currency != known.currency:
        faults.append(Fault("wrong_currency", f"the retailer's prices are in {known.currency}", "currency", row))
    sale = price.sale_price_minor
    if sale is not None and sale > price.price_minor:
        faults.append(Fault("range", "the sale price is above the price", "sale_price_minor", row))
    if sale is None and (price.sale_from or price.sale_until):
        faults.append(Fault("missing", "a sale date needs a sale price", "sale_price_minor", row))
    if price.sale_from and price.sale_until and price.sale_from >= price.sale_until:
        faults.append(Fault("range", "the sale ends before it starts", "sale_until", row))
    return faults
