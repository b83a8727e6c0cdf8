"""What a snapshot is compiled from: plain frozen rows as PostgreSQL holds them, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from offers.campaign import Campaign


@dataclass(frozen=True, slots=True)
class StoreRow:
    """A place of a retailer; degrees, an IANA zone, an ISO country or None, OSM hours or None (unknown)."""

    id: int
    retailer: int
    code: str
    lat: float
    lng: float
    zone: str
    country: str | None
    opening_hours: str | None
    city: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AreaRow:
    """A fence drawn around a store of its retailer (by code), GeoJSON."""

    retailer: int
    code: str
    store: str
    geometry: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProductRow:
    """A product; brand and category as uploaded."""

    id: int
    retailer: int
    code: str
    brand: str | None
    category: str | None


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A campaign that is scheduled or live."""

    id: int
    retailer: int
    spec: Campaign
    first: int = 0
    """Coupons that each partition may give before it leases any."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything live, in any order; closed stores are left out by the caller."""

    stores: Sequence[StoreRow]
    products: Sequence[ProductRow]
    campaigns: Sequence[CampaignRow]
    areas: Sequence[AreaRow] = ()


def fold(word: str) -> str:
    """The form in which brands and categories compare: letters' case and runs of spaces do not matter."""
    return " ".join(word.casefold().split())
