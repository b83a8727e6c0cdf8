"""The demo's retailers: chains that do not exist, made by grouping the city's real shops by what they sell.

A shop belongs to the first chain that lists its kind, a department of the purchase data to the one that lists it, so
that whoever sells a product is also whose receipts name it. Both lists are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.demo.city import City, Shop
from engine.demo.mapping import DRUGS, FOOD, KINDS

NOTICE = "Retailers: made up by grouping real shops by kind; none of them runs or knows these campaigns."


@dataclass(frozen=True)
class Chain:
    """A made-up retailer: its name, the departments of the data and the kinds of shop it stands for."""

    name: str
    thing: str
    departments: tuple[str, ...]
    kinds: tuple[str, ...]


CHAINS = (
    Chain(
        "Market Hall Grocers",
        "groceries",
        ("GROCERY", "FROZEN GROCERY", "PRODUCE", "MEAT", "MEAT-PCKGD", "SEAFOOD", "SEAFOOD-PCKGD"),
        (*FOOD, "butcher"),
    ),
    Chain("Esplanade Drug & Beauty", "drug store goods", ("DRUG GM", "NUTRITION", "COSMETICS"), DRUGS),
    Chain(
        "Senate Square Kitchens",
        "lunch",
        ("DELI", "SALAD BAR", "CHEF SHOPPE", "RESTAURANT"),
        ("deli", "restaurant", "fast_food"),
    ),
    Chain("Kluuvi Bakers", "coffee and cake", ("PASTRY",), ("bakery", "confectionery", "cafe")),
    Chain("Harbour Florists", "flowers", ("FLORAL", "GARDEN CENTER"), ("florist",)),
    Chain("Kamppi Cellars", "drinks", ("SPIRITS",), ("alcohol", "beverages", "bar", "pub")),
)
_BY_KIND = {kind: chain for chain in reversed(CHAINS) for kind in chain.kinds}
_BY_DEPARTMENT = {department: chain for chain in CHAINS for department in chain.departments}
assert _BY_DEPARTMENT.keys() == KINDS.keys(), "every department has its chain"


def chain_of(shop: Shop) -> Chain | None:
    """The chain that *shop* belongs to; None for a shop that stands for no department."""
    return _BY_KIND.get(shop.kind)


def seller(department: str) -> Chain:
    """The chain that sells *department*."""
    return _BY_DEPARTMENT[department]


def shops_of(city: City, chain: Chain) -> Sequence[Shop]:
    """The chain's shops in order of place id."""
    return [shop for shop in city.shops if chain_of(shop) is chain]


def store_code(shop: Shop) -> str:
    """The code under which a shop is uploaded as a store."""
    return f"osm-{shop.place_id}"
