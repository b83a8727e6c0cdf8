"""The products of all retailers as arrays: id → retailer, brand, category."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from geo.arrays import frozen
from offers.catalogue import ProductRow, fold
from offers.words import word_key

NONE = -1


class ProductTable:
    """`ids` i8[N] ascending, `retailer` i8[N], `brand` and `category` i4[N] as places in `words` (-1: none)."""

    __slots__ = ("arrays", "keys", "words")

    def __init__(self, arrays: dict[str, npt.NDArray[Any]], words: tuple[str, ...]) -> None:
        self.arrays = arrays
        self.words = words
        self.keys = frozen([word_key(word) for word in words], np.int64)
        """i8[W]: `word_key` of each word."""

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
        return len(self.arrays["ids"])
