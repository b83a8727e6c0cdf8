"""Prices and stock of a table, checked by the column, a block at a time.

Every check is an operation on a whole column; only cells that it refuses are looked at one by one, by the rules of
`offers.money` and `offers.interval`, which have the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from engine.http.problems import Fault
from engine.loader.kinds.price_rows import NO_TIME, NONE, WORDS, empty, micros, with_lengths
from engine.loader.known import Known
from engine.loader.tables import Block
from offers.interval import NoInterval, instants_of
from offers.money import NoAmount, exponent, minor_of

Flags = npt.NDArray[np.bool_]
Longs = npt.NDArray[np.int64]


class Codes:
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


class Checked:
    """One block on its way through the checks."""

    def __init__(self, block: Block, known: Known, products: Codes, stores: Codes) -> None:
        self._block = block
        self._n = len(block.numbers)
        self._currency = known.codes.currency
        self._good = np.ones(self._n, np.bool_)
        self._faults: list[Fault] = []
        self._products, self._stores = products, stores

    def rows(self) -> npt.NDArray[np.void]:
        """The good rows."""
        out = empty(self._n)
        out["row"] = self._block.numbers
        out["product"] = self._found("product", self._products, required=True)
        out["store"] = self._found("store", self._stores, required=False)
        out["price"] = self._money("price", required=True)
        out["sale"] = self._money("sale_price", required=False)
        self._dates(out)
        out["quantity"] = self._quantity()
        for name, words in WORDS.items():
            out[name] = self._words(name, words)
        self._sales(out)
        with_lengths(out)
        return out if self._good.all() else out[self._good]

    def faults(self) -> list[Fault]:
        """By row."""
        return sorted(self._faults, key=lambda fault: fault.row or 0)

    def _found(self, name: str, codes: Codes, *, required: bool) -> Longs:
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
                    out["sale_from"][at], out["sale_until"][at] = micros(start), micros(end)
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


def _unscaled(number: pa.Decimal128Array) -> Longs:
    """i8[n]: the digits of decimals of at most 18 digits, without their point."""
    if not len(number):
        return np.zeros(0, np.int64)
    words = np.frombuffer(number.buffers()[1], np.int64, 2 * len(number), 16 * number.offset)
    return words[::2].copy()
