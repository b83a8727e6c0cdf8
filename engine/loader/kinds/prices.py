"""Prices and stock, by the column: millions of rows, checked a block at a time.

Every check is an operation on a whole column; only cells that it refuses are looked at one by one, by the rules of
`offers.money` and `offers.interval`, which have the last word.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from engine.http.problems import Fault
from engine.http.products import Availability, PickupMethod, PickupSla, Price, faults_of
from engine.loader.kinds.kind import Counts, Order, RowKind
from engine.loader.known import Known
from engine.loader.tables import Block
from engine.postgres import queries
from offers.interval import NoInterval, instants_of
from offers.money import NoAmount, exponent, minor_of

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
NONE = -1
NO_TIME = np.iinfo(np.int64).min
"""PostgreSQL's -infinity on the wire: no sale date."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_WORDS: dict[str, tuple[str, ...]] = {
    "availability": get_args(Availability),
    "pickup_method": get_args(PickupMethod),
    "pickup_sla": get_args(PickupSla),
}
_FIELDS = (
    ("row", ">i4"),
    ("product", ">i8"),
    ("store", ">i8"),
    ("price", ">i8"),
    ("sale", ">i8"),
    ("sale_from", ">i8"),
    ("sale_until", ">i8"),
    ("quantity", ">i4"),
    ("availability", ">i2"),
    ("pickup_method", ">i2"),
    ("pickup_sla", ">i2"),
)
# A row of PostgreSQL's binary COPY: how many fields, then each with its length before it. All of one length, so that a
# block is one array and its bytes.
ROW = np.dtype(
    [
        ("n", ">i2"),
        *((f"{prefix}{name}", kind) for name, size in _FIELDS for prefix, kind in (("#", ">i4"), ("", size))),
    ]
)
COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TAIL = b"\xff\xff"

Flags = npt.NDArray[np.bool_]
Longs = npt.NDArray[np.int64]


class Prices:
    """One upload of prices: its rows as bytes of a binary COPY, and which (product, store) it has seen."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._products = _Codes(known.codes.products)
        self._stores = _Codes(known.codes.stores)
        self._seen = array.array("q")

    def of_block(self, block: Block) -> tuple[bytes, list[Fault]]:
        """The good rows of a table's block, and the faults of the others."""
        if not len(block.numbers):
            return b"", []
        checked = _Checked(block, self._known, self._products, self._stores)
        rows = checked.rows()
        self._note(rows)
        return rows.tobytes(), checked.faults()

    def of_prices(self, numbers: Sequence[int], prices: Sequence[Price]) -> bytes:
        """Rows of a document that passed."""
        rows = _empty(len(prices))
        for at, (number, price) in enumerate(zip(numbers, prices, strict=True)):
            rows[at] = self._row(number, price)
        _with_lengths(rows)
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
            "sale_from": _micros(price.sale_from),
            "sale_until": _micros(price.sale_until),
            "quantity": NONE if price.quantity is None else price.quantity,
            **{name: _place(name, getattr(price, name)) for name in _WORDS},
        }
        return (0, *(part for name, _ in _FIELDS for part in (0, values[name])))


class _Codes:
    """Codes → ids, for columns."""

    def __init__(self, codes: dict[str, int]) -> None:
        self.codes = pa.array(codes.keys(), pa.string())
        self.ids = np.fromiter(codes.values(), np.int64, len(codes))
        self._order = np.argsort(self.ids)
        self._ascending = self.ids[self._order]

    def find(self, column: pa.StringArray) -> Longs:
        """i8[n]: the id of each code, NONE where there is no such."""
        if not len(self.ids):
            return np.full(len(column), NONE, np.int64)
        at = pc.fill_null(pc.index_in(column, value_set=self.codes), NONE).to_numpy(zero_copy_only=False)
        return np.where(at >= 0, self.ids[at], NONE)

    def place_of(self, ids: npt.NDArray[Any]) -> Longs:
        """i8[n]: 1 + the place of each id, 0 for the id 0."""
        plain = ids.astype(np.int64)
        return np.where(plain == 0, 0, np.searchsorted(self._ascending, plain) + 1)


class _Checked:
    """One block on its way through the checks."""

    def __init__(self, block: Block, known: Known, products: _Codes, stores: _Codes) -> None:
        self._block = block
        self._n = len(block.numbers)
        self._currency = known.codes.currency
        self._good = np.ones(self._n, np.bool_)
        self._faults: list[Fault] = []
        self._products, self._stores = products, stores

    def rows(self) -> npt.NDArray[np.void]:
        """The good rows."""
        out = _empty(self._n)
        out["row"] = self._block.numbers
        out["product"] = self._found("product", self._products, required=True)
        out["store"] = self._found("store", self._stores, required=False)
        out["price"] = self._money("price", required=True)
        out["sale"] = self._money("sale_price", required=False)
        self._dates(out)
        out["quantity"] = self._quantity()
        for name, words in _WORDS.items():
            out[name] = self._words(name, words)
        self._sales(out)
        _with_lengths(out)
        return out if self._good.all() else out[self._good]

    def faults(self) -> list[Fault]:
        """By row."""
        return sorted(self._faults, key=lambda fault: fault.row or 0)

    def _found(self, name: str, codes: _Codes, *, required: bool) -> Longs:
        column = self._column(name)
        if column is None:
            return np.zeros(self._n, np.int64)
        ids = codes.find(column)
        absent = ids == NONE
        if absent.any():
            empty = pc.equal(column, "").to_numpy(zero_copy_only=False)
            if not required:
                ids[empty] = 0
                absent &= ~empty
            self._refuse(absent, name, f"unknown_{name}", f"the retailer has no such {name}")
        return ids

    def _money(self, name: str, *, required: bool) -> Longs:
        column = self._column(name)
        if column is None:
            return np.full(self._n, NONE, np.int64)
        decimals = exponent(self._currency)
        part = rf"(\.[0-9]{{1,{decimals}}})?" if decimals else ""
        fits = pc.match_substring_regex(column, rf"^[0-9]{{1,12}}{part} {self._currency}$")
        tidy = pc.if_else(fits, column, f"0 {self._currency}")
        number = pc.utf8_slice_codeunits(tidy, 0, -1 - len(self._currency)).cast(pa.decimal128(18, decimals))
        minor = _unscaled(number)
        missed = ~fits.to_numpy(zero_copy_only=False)
        if missed.any():
            empty = pc.equal(column, "").to_numpy(zero_copy_only=False)
            if not required:
                minor[empty] = NONE
                missed &= ~empty
            self._each(missed, name, column, minor, lambda text: minor_of(text, self._currency))
        return minor

    def _dates(self, out: npt.NDArray[np.void]) -> None:
        out["sale_from"] = out["sale_until"] = NO_TIME
        column = self._column("sale_date")
        if column is None:
            return
        for text, at in self._by_word(column):
            if text:
                try:
                    start, end = instants_of(text)
                    out["sale_from"][at], out["sale_until"][at] = _micros(start), _micros(end)
                except NoInterval as error:
                    self._refuse(at, "sale_price_effective_date", "value", str(error))

    def _quantity(self) -> Longs:
        column = self._column("quantity")
        if column is None:
            return np.full(self._n, NONE, np.int64)
        fits = pc.match_substring_regex(column, r"^[0-9]{1,9}$")
        found = pc.if_else(fits, column, str(NONE)).cast(pa.int64()).to_numpy(zero_copy_only=False)
        empty = pc.equal(column, "").to_numpy(zero_copy_only=False)
        wrong = ~fits.to_numpy(zero_copy_only=False) & ~empty
        self._refuse(wrong, "quantity", "value", "a whole number from 0 to 999999999")
        return np.asarray(found)

    def _words(self, name: str, words: tuple[str, ...]) -> Longs:
        nothing = 0 if name == "availability" else NONE
        column = self._column(name)
        if column is None:
            return np.full(self._n, nothing, np.int64)
        found = np.full(self._n, nothing, np.int64)
        for text, at in self._by_word(column):
            word = text.strip().lower().replace(" ", "_")
            if word in words:
                found[at] = words.index(word)
            elif word:
                self._refuse(at, name, "value", f"one of {', '.join(words)}")
        return found

    def _sales(self, out: npt.NDArray[np.void]) -> None:
        dated = (out["sale_from"] != NO_TIME) & (out["sale"] == NONE)
        self._refuse(dated, "sale_price", "missing", "a sale date needs a sale price")
        self._refuse(out["sale"] > out["price"], "sale_price", "range", "the sale price is above the price")

    def _column(self, name: str) -> pa.StringArray | None:
        return self._block.columns.get(name)

    def _by_word(self, column: pa.StringArray) -> Iterator[tuple[str, Flags]]:
        """Each distinct text of a column that has few, and where it stands."""
        encoded = column.dictionary_encode()
        at = encoded.indices.to_numpy()
        for place, word in enumerate(encoded.dictionary.to_pylist()):
            yield word, at == place

    def _refuse(self, where: npt.NDArray[Any], column: str, code: str, detail: str) -> None:
        if not where.any():
            return
        self._good[where] = False
        numbers = self._block.numbers
        self._faults += [Fault(code, detail, column, int(numbers[at])) for at in np.flatnonzero(where).tolist()]

    def _each(self, where: Flags, column: str, texts: pa.StringArray, into: Longs, read: Callable[[str], int]) -> None:
        """Cell by cell, what the column's check did not know."""
        for at in np.flatnonzero(where).tolist():
            try:
                into[at] = read(texts[at].as_py())
            except NoAmount as error:
                self._good[at] = False
                self._faults.append(Fault("value", str(error), column, int(self._block.numbers[at])))


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


def _unscaled(number: pa.Decimal128Array) -> Longs:
    """i8[n]: the digits of decimals of at most 18 digits, without their point."""
    if not len(number):
        return np.zeros(0, np.int64)
    words = np.frombuffer(number.buffers()[1], np.int64, 2 * len(number), 16 * number.offset)
    return words[::2].copy()


def _micros(at: datetime | None) -> int:
    """Microseconds since 2000, as PostgreSQL counts."""
    return NO_TIME if at is None else (at - _EPOCH) // timedelta(microseconds=1)


def _place(name: str, word: str | None) -> int:
    return NONE if word is None else _WORDS[name].index(word)


def _empty(n: int) -> npt.NDArray[np.void]:
    return np.zeros(n, ROW)


def _with_lengths(rows: npt.NDArray[np.void]) -> None:
    rows["n"] = len(_FIELDS)
    for name, kind in _FIELDS:
        rows[f"#{name}"] = np.dtype(kind).itemsize


def _check(price: Price, row: int, known: Known) -> list[Fault]:
    return faults_of(price, row, known.codes)


def _nothing(*_: Any) -> Any:
    raise AssertionError("prices are staged by columns")


async def _unused(*_: Any) -> Any:
    raise AssertionError("prices are stored by columns")


_AS_ROWS = RowKind("prices", Price, COLUMNS, REQUIRED, _nothing, _check, _nothing, _unused)
