"""Files a retailer would send, written to disk before anything is measured."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import world
from benchmarks.bars import Plan

HEADER = (
    b"store_code\tid\tprice\tsale_price\tsale_price_effective_date\tavailability\tquantity\tpickup_method\tpickup_sla\n"
)
SALE = b"2026-01-01T08:00+02:00/2036-01-01T22:00+02:00"
_STORE = b"@STORE@"
EDITED_EVERY = 5_000
PATTERNS = 7
"""Stores have one of so many price lists."""


def product_code(index: int) -> str:
    """The code of a product."""
    return f"p{index:06d}"


def products(path: Path, count: int) -> Path:
    """A table of products."""
    lines = [
        f"{product_code(index)},Product {index},Brand {index % 97},Category {index % 31}" for index in range(count)
    ]
    path.write_text("code,name,brand,category\n" + "\n".join(lines) + "\n")
    return path


def inventory(path: Path, plan: Plan, changed: bool) -> Path:
    """Every product in every store, as Google's local inventory feed in TSV, gzipped; *changed*: a tenth costs more."""
    lists = [_price_list(plan, pattern, changed) for pattern in range(PATTERNS)]
    with gzip.open(path, "wb", compresslevel=plan.count("gzip_level")) as file:
        file.write(HEADER)
        for store in range(plan.count("stores")):
            file.write(lists[store % PATTERNS].replace(_STORE, world.store_code(store).encode()))
    return path


def _price_list(plan: Plan, pattern: int, changed: bool) -> bytes:
    random = np.random.default_rng([plan.seed, pattern])
    count = plan.count("products")
    price = random.integers(100, 100_000, count)
    if changed:
        price[:: round(1 / plan.number("changed_share"))] += 1
    return b"".join(_row(index, int(cents), int(random.integers(0, 200))) for index, cents in enumerate(price))


def _row(index: int, cents: int, quantity: int) -> bytes:
    sale = b"%d.%02d EUR\t%b" % (*divmod(cents * 9 // 10, 100), SALE) if index % 20 == 0 else b"\t"
    stock = b"in_stock" if quantity else b"out_of_stock"
    code = product_code(index).encode()
    return b"%b\t%b\t%d.%02d EUR\t%b\t%b\t%d\tbuy\tsame_day\n" % (
        _STORE, code, *divmod(cents, 100), sale, stock, quantity
    )  # fmt: skip


def campaigns(path: Path, plan: Plan) -> Path:
    """Campaigns as NDJSON, gzipped: each at some stores drawn by lot, with one of three radii."""
    with gzip.open(path, "wb", compresslevel=6) as file:
        for line in _campaigns(plan):
            file.write(line)
    return path


def campaign_code(index: int) -> str:
    """The code of a campaign."""
    return f"c{index:06d}"


def _campaigns(plan: Plan) -> Iterator[bytes]:
    random = np.random.default_rng([plan.seed, 5])
    stores, each = plan.count("stores"), plan.count("stores_a_campaign")
    for index in range(plan.count("campaigns")):
        named = random.choice(stores, each, replace=False).tolist()
        # Probes step in and out of the first store: some campaigns are there to be edited.
        codes = [world.store_code(one) for one in (named if index % EDITED_EVERY else [0, *named[1:]])]
        campaign = world.a_campaign(campaign_code(index), codes, plan.number("radius_m") * 2 ** (index % 3))
        yield json.dumps(campaign | {"priority": -10 if index % EDITED_EVERY else 0}).encode() + b"\n"
