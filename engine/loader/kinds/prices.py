"""Prices and stock: millions of rows of an upload become bytes of a binary COPY, and those are stored."""

from __future__ import annotations

import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.http.problems import Fault
from engine.http.products import Price, faults_of
from engine.loader.kinds.kind import Counts, Order, RowKind
from engine.loader.kinds.price_columns import Checked, Codes
from engine.loader.kinds.price_rows import FIELDS, NONE, WORDS, empty, micros, place, with_lengths
from engine.loader.known import Known
from engine.loader.tables import Block
from engine.postgres import queries

COLUMNS = {
    **{name: name for name in ("product", "store", "price", "sale_price", "availability", "quantity")},
    **{name: name for name in ("pickup_method", "pickup_sla")},
    "id": "product",
    "item_id": "product",
    "store_code": "store",
    "sale_price_effective_date": "sale_date",
    "sale_date": "sale_date",
}
REQUIRED = frozenset({"product", "price"})


class Prices:
    """One upload of prices: its rows as bytes of a binary COPY, and which (product, store) it has seen."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._products = Codes(known.codes.products)
        self._stores = Codes(known.codes.stores)
        self._seen = array.array("q")

    def of_block(self, block: Block) -> tuple[bytes, list[Fault]]:
        """The good rows of a table's block, and the faults of the others."""
        if not len(block.numbers):
            return b"", []
        checked = Checked(block, self._known, self._products, self._stores)
        rows = checked.rows()
        self._note(rows)
        return rows.tobytes(), checked.faults()

    def of_prices(self, numbers: Sequence[int], prices: Sequence[Price]) -> bytes:
        """Rows of a document that passed."""
        rows = empty(len(prices))
        for at, (number, price) in enumerate(zip(numbers, prices, strict=True)):
            rows[at] = self._row(number, price)
        with_lengths(rows)
        self._note(rows)
        return rows.tobytes()

    def repeated(self) -> bool:
        """Whether a (product, store) stands in two rows; sorts what was seen, so ask once."""
        keys = np.frombuffer(self._seen, np.int64)
        keys.sort()
        return bool((keys[1:] == keys[:-1]).any())

    def _note(self, rows: npt.NDArray[np.void]) -> None:
        product = self._products.place_of(rows["product"])
        store = self._stores.place_of(rows["store"])
        self._seen.frombytes((product * (len(self._stores.ids) + 1) + store).tobytes())

    def _row(self, number: int, price: Price) -> tuple[Any, ...]:
        codes = self._known.codes
        values = {
            "row": number,
            "product": codes.products[price.product],
            "store": codes.stores[price.store] if price.store is not None else 0,
            "price": price.price_minor,
            "sale": NONE if price.sale_price_minor is None else price.sale_price_minor,
            "sale_from": micros(price.sale_from),
            "sale_until": micros(price.sale_until),
            "quantity": NONE if price.quantity is None else price.quantity,
            **{name: place(name, getattr(price, name)) for name in WORDS},
        }
        return (0, *(part for name, _ in FIELDS for part in (0, values[name])))


def checked(number: int, row: bytes, known: Known) -> Price | list[Fault]:
    """A row of a document."""
    found: Price | list[Fault] = _AS_ROWS.value_of(number, row, known)
    return found


async def store(connection: Any, known: Known, order: Order) -> Counts:
    """Count the difference, then write what differs; in the retailer's transaction."""
    await queries.loader.take_memory(connection)
    row = await queries.loader.price_difference(connection, retailer=known.retailer)
    ended = 0
    if order.replace:
        ended = await queries.loader.count_missing_prices(connection, retailer=known.retailer)
    if not order.dry_run:
        if row["updated"]:
            await queries.loader.update_prices(connection, retailer=known.retailer)
        if row["created"]:
            await queries.loader.insert_prices(connection, retailer=known.retailer, currency=known.codes.currency)
        if ended:
            await queries.loader.drop_missing_prices(connection, retailer=known.retailer)
    return Counts(row["created"], row["updated"], row["unchanged"], ended)


def _check(price: Price, row: int, known: Known) -> list[Fault]:
    return faults_of(price, row, known.codes)


def _nothing(*_: Any) -> Any:
    raise AssertionError("prices are staged by columns")


async def _unused(*_: Any) -> Any:
    raise AssertionError("prices are stored by columns")


_AS_ROWS = RowKind("prices", Price, COLUMNS, REQUIRED, _nothing, _check, _nothing, _unused)
