"""A campaign as the matcher uses it: codes resolved to ids, times to epoch milliseconds, words folded."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from offers.campaign import Creative, Offer


class Terms(Protocol):
    """Anything that names products, brands and categories."""

    @property
    def products(self) -> frozenset[int]: ...
    @property
    def brands(self) -> frozenset[str]: ...
    @property
    def categories(self) -> frozenset[str]: ...


class Wanted(Struct, frozen=True, kw_only=True):
    """Products by id, brands and categories folded (`catalogue.fold`); any of them matches."""

    products: frozenset[int] = frozenset()
    brands: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.products or self.brands or self.categories)

    def meets(self, other: Terms) -> bool:
        """Whether the two have a product, a brand or a category in common."""
        return not (
            self.products.isdisjoint(other.products)
            and self.brands.isdisjoint(other.brands)
            and self.categories.isdisjoint(other.categories)
        )


class LiveAudience(Struct, frozen=True, kw_only=True):
    """Whoever bought one of *wanted* within the last *within_ms* (to the second, both ends included).

    A retailer's audience counts purchases of its own products; for customers who allow it brands and categories count
    across retailers.
    """

    wanted: Wanted
    within_ms: int


class LiveCampaign(Struct, frozen=True, kw_only=True):
    """One campaign of a snapshot."""

    id: int
    retailer: int
    code: str
    trigger: Literal["enter", "dwell", "exit", "approach", "search", "start"]
    """`start`: meets only who is inside when it begins."""
    dwell_s: int
    lead_s: int = 0
    """How long before the arrival an approach is answered."""
    starts_ms: int
    ends_ms: int
    only_while_open: bool
    priority: int
    cap_coupons: int
    cap_ms: int
    budget_coupons: int
    first_coupons: int = 0
    """What each partition may give before it leases any."""
    audience: LiveAudience | None
    search: Wanted
    covered: Wanted
    """What the offer is about: its products, their brands and categories; empty: anything in the store."""
    worth_minor: int
    """What the offer would take off a nominal basket, to rank by."""
    offer: Offer
    creative: Creative


class Skipped(Struct, frozen=True, kw_only=True):
    """A campaign that could not be compiled, and a sentence saying why."""

    campaign: int
    why: str
