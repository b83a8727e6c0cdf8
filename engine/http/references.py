"""A retailer's own codes, resolved to ids for one upload."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from engine.postgres import queries


@dataclass(frozen=True)
class Codes:
    """Code → id of what an upload names and the retailer has; and the retailer's currency ('' for no retailer)."""

    products: dict[str, int]
    stores: dict[str, int]
    currency: str


async def codes_of(connection: Any, retailer: int, products: Collection[str], stores: Collection[str]) -> Codes:
    """Look up the named codes of one retailer."""
    found = await queries.retailers.find_retailer(connection, id=retailer)
    of_products = queries.products.find_products(connection, retailer=retailer, codes=list(products))
    of_stores = queries.stores.find_stores(connection, retailer=retailer, codes=list(stores))
    return Codes(
        {row["code"]: row["id"] async for row in of_products},
        {row["code"]: row["id"] async for row in of_stores},
        found["currency"] if found is not None else "",
    )
