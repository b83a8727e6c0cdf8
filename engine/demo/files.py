"""The files that the demo's retailers send: what chains have lying about, in the formats they have it in.

Stores as a map program exports them (GeoJSON), products as a spreadsheet does (CSV), prices as Google's local inventory
feed (TSV), campaigns as lines of JSON.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from engine.demo.chains import store_code
from engine.demo.city import ZONE, Shop
from offers.campaign import Campaign
from offers.money import exponent

CITY = "Helsinki"
GEOJSON, CSV, TSV, NDJSON = "application/geo+json", "text/csv", "text/tab-separated-values", "application/x-ndjson"

Row = Mapping[str, Any]


def stores(shops: Iterable[Shop], country: str) -> bytes:
    """A FeatureCollection of points; each shop's kind is its tag."""
    return msgspec.json.encode({"type": "FeatureCollection", "features": [_feature(shop, country) for shop in shops]})


def products(rows: Sequence[Row]) -> bytes:
    """A table with Google's names."""
    columns = {"id": "code", "title": "name", "brand": "brand", "product_type": "category"}
    return _table(columns, [{theirs: row[ours] or "" for theirs, ours in columns.items()} for row in rows], ",")


def prices(rows: Sequence[Row]) -> bytes:
    """Google's local inventory, gzipped; without a store a price holds in all of them."""
    columns = {"id": "", "price": "", "availability": ""}
    feed = [{"id": row["product"], "price": _amount(row), "availability": "in_stock"} for row in rows]
    return gzip.compress(_table(columns, feed, "\t"))


def campaigns(some: Sequence[Campaign]) -> bytes:
    """A line each."""
    return b"\n".join(msgspec.json.encode(campaign) for campaign in some) + b"\n"


def _feature(shop: Shop, country: str) -> dict[str, Any]:
    properties = {
        "code": store_code(shop),
        "name": shop.name[:200],
        "zone": ZONE,
        "country": country,
        "opening_hours": shop.hours,
        "address": shop.address,
        "city": CITY,
        "tags": [shop.kind],
    }
    point = {"type": "Point", "coordinates": [shop.lng_deg, shop.lat_deg]}
    return {"type": "Feature", "geometry": point, "properties": properties}


def _amount(row: Row) -> str:
    decimals = exponent(row["currency"])
    whole, part = divmod(row["price_minor"], 10**decimals)
    return f"{whole}.{part:0{decimals}} {row['currency']}" if decimals else f"{whole} {row['currency']}"


def _table(columns: Iterable[str], rows: Sequence[Row], delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
