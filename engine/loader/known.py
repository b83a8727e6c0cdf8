"""What an upload's rows are checked against: the retailer's own codes, its currency, the time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.http.references import Codes
from engine.postgres import queries
from offers.catalogue import fold


@dataclass(frozen=True)
class Known:
    """As of the start of an upload; what it stores joins the same tables again."""

    retailer: int
    now_ms: int
    codes: Codes
    areas: dict[str, int] = field(default_factory=dict)
    campaigns: dict[str, int] = field(default_factory=dict)
    """Those that have not ended."""
    tags: frozenset[str] = frozenset()
    """Folded, as the cities."""
    cities: frozenset[str] = frozenset()
    coupon_key: bytes = field(default=b"", repr=False)


async def read_known(connection: Any, retailer: int, now_ms: int, coupon_key: bytes) -> Known:
    """Everything, in the transaction of *connection*, which acts as the retailer."""
    read = queries.loader
    found = await queries.retailers.find_retailer(connection, id=retailer)
    codes = Codes(
        {row["code"]: row["id"] async for row in read.product_codes(connection)},
        {row["code"]: row["id"] async for row in read.store_codes(connection)},
        found["currency"],
    )
    return Known(
        retailer,
        now_ms,
        codes,
        {row["code"]: row["id"] async for row in read.area_codes(connection)},
        {row["code"]: row["id"] async for row in read.campaign_codes(connection)},
        frozenset([fold(row["tag"]) async for row in read.tags(connection)]),
        frozenset([fold(row["city"]) async for row in read.cities(connection)]),
        coupon_key,
    )
