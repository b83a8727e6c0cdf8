"""Products: as JSON or as a table, with Google's names accepted."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.http.problems import Fault
from engine.http.products import Product
from engine.loader.kinds.kind import Cells, Counts, Order, RowKind
from engine.loader.known import Known
from engine.postgres import queries

_COLUMNS = {
    **{name: name for name in Product.__struct_fields__},
    "id": "code",
    "item_id": "code",
    "title": "name",
    "product_type": "category",
}


def _of_cells(cells: Cells, _: Known) -> Any:
    return dict(cells)


def _check(product: Product, row: int, known: Known) -> list[Fault]:
    return []


def _stage(product: Product, _: Known) -> tuple[str, Any]:
    return product.code, msgspec.structs.asdict(product)


async def _store(connection: Any, known: Known, order: Order) -> Counts:
    row = await queries.loader.merge_products(connection, retailer=known.retailer)
    ended = await queries.loader.end_missing_products(connection) if order.replace else 0
    return Counts(row["created"], row["updated"], row["unchanged"], ended)


PRODUCTS = RowKind(
    member="products",
    struct=Product,
    columns=_COLUMNS,
    required=frozenset({"code", "name"}),
    of_cells=_of_cells,
    check=_check,
    stage=_stage,
    store=_store,
)
