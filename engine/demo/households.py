"""Real households as customers of the demo: what they bought lately, at what price, and which coupons they
were given.

Dates are shifted by whole weeks, wall time for wall time: a Friday at six in the evening stays one, and the
data's last Sunday becomes the one before the demo's clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from zoneinfo import ZoneInfo

import numpy as np

from engine.demo.city import ZONE
from engine.demo.journey import ENDS, Frame, purchase_lines, read, wall_to_ms
from engine.demo.mapping import KINDS
from engine.demo.plane import Ints

CURRENCY = "USD"
LEAST_OFF, MOST_OFF = 5, 50  # percent; a line with more off carries several coupons at once


@dataclass(frozen=True)
class Product:
    """Bought lately. The data has no names: `name` is type and size, `brand` the maker's number."""

    product_id: int
    name: str
    brand: str
    category: str
    kind: str
    department: str
    price_cents: int


@dataclass(frozen=True)
class Purchases:
    """Receipt lines as columns of equal length, in order of time; `store` is the data's own store number."""

    household: Ints
    basket: Ints
    store: Ints
    product_id: Ints
    quantity: Ints
    paid_cents: Ints
    at_ms: Ints

    def __len__(self) -> int:
        return len(self.at_ms)


@dataclass(frozen=True)
class Coupon:
    """A coupon of the data: its products (those bought lately), how often it was redeemed, what it took off.

    `campaign_type` is A, B or C; `percent_off` the middle discount on its products' receipt lines, 5..50,
    None where no line shows one; `department` that of most of its products.
    """

    upc: int
    campaign_type: str
    product_ids: tuple[int, ...]
    redemptions: int
    percent_off: int | None
    department: str


@dataclass(frozen=True)
class Households:
    """What the demo takes from the data: all households of the year, sorted; `left_out` counts lines."""

    households: Ints
    products: Mapping[int, Product]
    purchases: Purchases
    coupons: tuple[Coupon, ...]
    left_out: Mapping[str, int]


def read_households(now_ms: int, days: int) -> Households:
    """Households, and their purchases of the last *days* days of data, moved to end before *now_ms*."""
    lines, left_out = purchase_lines(days, KINDS.keys())
    products = _products(lines)
    return Households(
        np.unique(read("transactions", ["household_id"])["household_id"].to_numpy()),
        products,
        _purchases(lines, now_ms),
        _coupons(lines, products),
        left_out,
    )


def customer_id(household: int, copy: int = 0) -> str:
    """The opaque id of a household's phone; *copy* > 0 when more phones walk than there are households."""
    return "c-" + blake2b(f"{household}/{copy}".encode(), digest_size=10).hexdigest()


def weeks_to(now_ms: int) -> int:
    """Whole weeks from the data's end to the latest Sunday night before *now_ms*, Helsinki wall time."""
    now = datetime.fromtimestamp(now_ms / 1_000, UTC).astimezone(ZoneInfo(ZONE)).replace(tzinfo=None)
    return (now - ENDS) // timedelta(weeks=1)


def _purchases(lines: Frame, now_ms: int) -> Purchases:
    moved = wall_to_ms(lines["wall"] + timedelta(weeks=weeks_to(now_ms)), ZONE)
    household, basket, store, product_id, quantity = (
        lines[name].to_numpy(dtype=np.int64)
        for name in ("household_id", "basket_id", "store_id", "product_id", "quantity")
    )
    cents = (lines["sales_value"] * 100).round().astype("int64").to_numpy()
    return Purchases(household, basket, store, product_id, quantity, cents, moved)


def _products(lines: Frame) -> dict[int, Product]:
    """Each product of *lines*; its price is the median over lines of paid ÷ quantity, at least one cent."""
    each = (lines["sales_value"] / lines["quantity"]).groupby(lines["product_id"]).median()
    rows = lines.drop_duplicates("product_id").set_index("product_id").loc[each.index]
    columns = [
        rows[name].fillna("").tolist()
        for name in ("product_type", "package_size", "brand", "product_category", "department")
    ]
    makers = rows["manufacturer_id"].astype("int64").tolist()
    cents = (each * 100).round().clip(lower=1).astype("int64").tolist()
    return {
        product_id: Product(
            product_id,
            _name(kind, size),
            "Store brand" if brand == "Private" else f"Maker {maker}",
            category,
            kind,
            department,
            price,
        )
        for product_id, kind, size, brand, category, department, maker, price in zip(
            each.index.tolist(), *columns, makers, cents, strict=True
        )
    }


def _name(kind: str, size: str) -> str:
    """Type and size as a shopper may read it: "Fluid milk white only, 1 ga"."""
    words = kind.capitalize()
    return f"{words}, {size.strip().lower()}" if size.strip() else words


def _coupons(lines: Frame, products: Mapping[int, Product]) -> tuple[Coupon, ...]:
    """Coupons that were redeemed and have a product bought lately; most redeemed first, then by code."""
    redeemed = read("coupon_redemptions").groupby("coupon_upc").size()
    sets = read("coupons")
    sets = sets[sets["coupon_upc"].isin(redeemed.index) & sets["product_id"].isin(products.keys())]
    types = read("campaign_descriptions").set_index("campaign_id")["campaign_type"].to_dict()
    cut = lines[lines["coupon_disc"] > 0]
    percents = (100 * cut["coupon_disc"] / cut["sales_value"]).groupby(cut["product_id"]).median().to_dict()
    coupons = []
    for upc, rows in sets.groupby("coupon_upc"):
        ids = sorted(set(rows["product_id"].tolist()))
        off = [percents[product_id] for product_id in ids if product_id in percents]
        kind = types[rows["campaign_id"].min()].removeprefix("Type ")
        percent = int(np.clip(np.median(off), LEAST_OFF, MOST_OFF)) if off else None
        shelf = Counter(products[product_id].department for product_id in ids).most_common(1)[0][0]
        coupons.append(Coupon(int(upc), kind, tuple(ids), int(redeemed[upc]), percent, shelf))
    return tuple(sorted(coupons, key=lambda coupon: (-coupon.redemptions, coupon.upc)))
