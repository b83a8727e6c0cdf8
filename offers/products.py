"""The products of all retailers as arrays: id → retailer, brand, category."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from geo.arrays import frozen
from offers.catalogue import ProductRow, fold
from offers.words import word_key

NONE = -1


class Kind(NamedTuple):
    """What a product is, as far as offers care; brand and category are folded, None when not given."""

    retailer: int
    brand: str | None
    category: str | None


class ProductTable:
    """`ids` i8[N] ascending, `retailer` i8[N], `brand` and `category` i4[N] as places in `words` (-1: none)."""

    __slots__ = ("_brand", "_category", "_ids", "_retailer", "arrays", "keys", "words")

    def __init__(self, arrays: dict[str, npt.NDArray[Any]], words: tuple[str, ...]) -> None:
        self.arrays = arrays
        self.words = words
        self.keys = frozen([word_key(word) for word in words], np.int64)
        """i8[W]: `word_key` of each word."""
        # Plain ints from a memoryview cost a third of numpy scalars.
        self._ids, self._retailer = arrays["ids"].data, arrays["retailer"].data
        self._brand, self._category = arrays["brand"].data, arrays["category"].data

    @classmethod
    def of(cls, rows: Iterable[ProductRow]) -> ProductTable:
        """The table of these rows, in any order; ids are unique."""
        ordered = sorted(rows, key=lambda row: row.id)
        names = {fold(w) for row in ordered for w in (row.brand, row.category) if w} - {""}
        words = tuple(sorted(names))
        place = {word: i for i, word in enumerate(words)}
        arrays: dict[str, npt.NDArray[Any]] = {
            "ids": np.array([row.id for row in ordered], np.int64),
            "retailer": np.array([row.retailer for row in ordered], np.int64),
            "brand": np.array([place.get(fold(row.brand or ""), NONE) for row in ordered], np.int32),
            "category": np.array([place.get(fold(row.category or ""), NONE) for row in ordered], np.int32),
        }
        for array in arrays.values():
            array.flags.writeable = False
        return cls(arrays, words)

    def __len__(self) -> int:
        return len(self._ids)

    def kind(self, product_id: int) -> Kind | None:
        """What the product is; None for one that is no longer in the catalogue."""
        i = bisect_left(self._ids, product_id)
        if i == len(self._ids) or self._ids[i] != product_id:
            return None
        brand, category = self._brand[i], self._category[i]
        return Kind(
            self._retailer[i],
            None if brand == NONE else self.words[brand],
            None if category == NONE else self.words[category],
        )
