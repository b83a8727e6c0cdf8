"""Our own join of two data sets that never met: which Helsinki shop stands for an American grocer's
department.

Nothing in either source says so. The households' purchases are real in what was bought together, by whom and
when; where in Helsinki they were made is made up here, by a fixed rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from engine.demo.city import Shop

NOTICE = (
    "Purchases: The Complete Journey (simulated data based on real grocery shopping patterns, USA 2017), "
    "dates shifted. Which Helsinki shop each purchase belongs to is this demo's own mapping."
)

FOOD = ("supermarket", "convenience", "kiosk", "department_store")
DRUGS = ("pharmacy", "cosmetics", "beauty", "health_food", "variety_store")
TABLE = ("deli", "restaurant", "cafe", "fast_food", "butcher")

KINDS: Mapping[str, tuple[str, ...]] = {
    "GROCERY": FOOD,
    "FROZEN GROCERY": FOOD,
    "PRODUCE": FOOD,
    "MEAT": (*FOOD, "butcher"),
    "MEAT-PCKGD": (*FOOD, "butcher"),
    "SEAFOOD": FOOD,
    "SEAFOOD-PCKGD": FOOD,
    "DRUG GM": DRUGS,
    "NUTRITION": DRUGS,
    "COSMETICS": ("cosmetics", "beauty", "pharmacy"),
    "DELI": TABLE,
    "SALAD BAR": TABLE,
    "CHEF SHOPPE": TABLE,
    "RESTAURANT": TABLE,
    "PASTRY": ("bakery", "confectionery", "cafe"),
    "FLORAL": ("florist",),
    "GARDEN CENTER": ("florist",),
    "SPIRITS": ("alcohol", "beverages", "bar", "pub"),
}
"""Department of the purchase data → kinds of shop that may sell it, OpenStreetMap's words."""


def sells(shop: Shop, department: str) -> bool:
    """Whether *shop* may stand for *department*."""
    return shop.kind in KINDS.get(department, ())


def departments(shop: Shop) -> frozenset[str]:
    """Every department that *shop* may stand for."""
    return frozenset(department for department in KINDS if sells(shop, department))


def assign(visits: Iterable[tuple[int, str]], shops: Sequence[Shop]) -> dict[tuple[int, str], Shop | None]:
    """For each (store of the data, department): one of *shops* that sells it, None where none does.

    The same store and department always lead to the same shop; stores are dealt out in turn, by number, over
    the suitable shops in order of place id.
    """
    wanted = sorted(set(visits))
    suitable = {
        department: sorted((shop for shop in shops if sells(shop, department)), key=lambda shop: shop.place_id)
        for department in {department for _, department in wanted}
    }
    dealt = dict.fromkeys(suitable, 0)
    found: dict[tuple[int, str], Shop | None] = {}
    for store, department in wanted:
        choices = suitable[department]
        found[store, department] = choices[dealt[department] % len(choices)] if choices else None
        dealt[department] += 1
    return found
