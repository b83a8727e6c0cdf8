"""The households' purchases as the retailers' receipts: which products they upload and which receipts the app posts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.demo.chains import CHAINS, Chain, seller, shops_of, store_code
from engine.demo.city import City, Shop
from engine.demo.households import CURRENCY, Households, Product
from engine.demo.mapping import assign

Row = dict[str, Any]


@dataclass(frozen=True)
class Books:
    """Rows to upload, by chain: products, prices, receipts; and how many receipt lines the subset leaves out."""

    products: Mapping[Chain, Sequence[Row]]
    prices: Mapping[Chain, Sequence[Row]]
    receipts: Mapping[Chain, Sequence[Row]]
    lines: int
    left_out: int


def books(city: City, data: Households, customers: Mapping[int, str], most_products: int) -> Books:
    """The *most_products* products bought most, and all lines of them by the households among *customers* (→ id)."""
    kept = _kept(data, most_products)
    shop_of = _shops(city, data, kept)
    lines, receipts = 0, {chain: list[Row]() for chain in CHAINS}
    for (household, basket, shop), rows in _baskets(data, kept, shop_of).items():
        if household in customers:
            chain = seller(kept[rows[0][0]].department)
            receipts[chain].append(_receipt(customers[household], basket, shop, rows))
            lines += len(rows)
    products = {chain: [one for one in kept.values() if seller(one.department) is chain] for chain in CHAINS}
    return Books(
        {chain: [_product(one) for one in some] for chain, some in products.items()},
        {chain: [_price(one) for one in some] for chain, some in products.items()},
        receipts,
        lines,
        len(data.purchases) - lines,
    )


def product_code(product_id: int) -> str:
    """The code under which a product of the data is uploaded."""
    return f"cj-{product_id}"


def instant(at_ms: int) -> str:
    """Epoch milliseconds as RFC 3339."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _kept(data: Households, most: int) -> dict[int, Product]:
    bought = Counter(data.purchases.product_id.tolist())
    ranked = sorted(bought, key=lambda product_id: (-bought[product_id], product_id))[:most]
    return {product_id: data.products[product_id] for product_id in sorted(ranked)}


def _shops(city: City, data: Households, kept: Mapping[int, Product]) -> dict[tuple[int, str], Shop | None]:
    """(store of the data, department) → one of the shops of the chain that sells the department."""
    pairs = zip(data.purchases.store.tolist(), data.purchases.product_id.tolist(), strict=True)
    visits = {(store, kept[product_id].department) for store, product_id in pairs if product_id in kept}
    found: dict[tuple[int, str], Shop | None] = {}
    for chain in CHAINS:
        found |= assign([visit for visit in visits if visit[1] in chain.departments], shops_of(city, chain))
    return found


Basket = dict[tuple[int, int, Shop], list[tuple[int, int, int, int]]]


def _baskets(data: Households, kept: Mapping[int, Product], shop_of: Mapping[tuple[int, str], Shop | None]) -> Basket:
    """(household, basket, shop) → lines of product, quantity, cents, time; a basket spans several shops here."""
    found: Basket = defaultdict(list)
    bought = data.purchases
    columns = (bought.household, bought.basket, bought.store, bought.product_id, bought.quantity, bought.paid_cents)
    rows = zip(*(column.tolist() for column in columns), bought.at_ms.tolist(), strict=True)
    for household, basket, store, product_id, quantity, cents, at_ms in rows:
        product = kept.get(product_id)
        shop = shop_of[store, product.department] if product else None
        if shop is not None:
            found[household, basket, shop].append((product_id, quantity, cents, at_ms))
    return found


def _receipt(customer: str, basket: int, shop: Shop, rows: Sequence[tuple[int, int, int, int]]) -> Row:
    lines = [{"product": product_code(p), "quantity": quantity, "amount_minor": c} for p, quantity, c, _ in rows]
    return {
        "customer": customer,
        "receipt": f"{basket}-{shop.place_id}",
        "at": instant(rows[0][3]),
        "total_minor": sum(cents for _, _, cents, _ in rows),
        "currency": CURRENCY,
        "store": store_code(shop),
        "lines": lines,
    }


def _product(product: Product) -> Row:
    return {
        "code": product_code(product.product_id),
        "name": product.name,
        "brand": product.brand or None,
        "category": product.category or None,
    }


def _price(product: Product) -> Row:
    return {
        "product": product_code(product.product_id),
        "price_minor": product.price_cents,
        "currency": CURRENCY,
    }
