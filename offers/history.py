"""What each customer of a partition bought: product, time and quantity, newest first; 18 bytes a line."""

from __future__ import annotations

from typing import NamedTuple

from offers.kernels.records import Lines
from offers.pool import NONE, Pool

MOST_QUANTITY = 65_535


class Purchase(NamedTuple):
    """One line of a receipt; the time is whole seconds in milliseconds."""

    product: int
    at_ms: int
    quantity: int


class History:
    """The purchases of one partition; a row is a customer."""

    __slots__ = ("_pool",)

    def __init__(self) -> None:
        self._pool = Pool({"product": "i8", "at_s": "u4", "quantity": "u2"})

    @property
    def nbytes(self) -> int:
        """Bytes held, slack included."""
        return self._pool.nbytes

    def reserve(self, rows: int) -> None:
        """Make room for rows 0 .. rows - 1 in one step; later rows grow it by themselves."""
        self._pool.reserve(rows)

    def arrays(self) -> Lines:
        """The purchases as kernels have them."""
        head, following, _, *columns = self._pool.arrays("product", "at_s", "quantity")
        return Lines(head, following, *columns)

    def note(self, row: int, product_id: int, at_ms: int, quantity: int) -> None:
        """The customer bought *quantity* (>= 1) of a product. Times are kept in seconds, 1970 to 2106."""
        slot = self._pool.push(row)
        columns = self._pool.columns
        columns["product"][slot] = product_id
        columns["at_s"][slot] = max(0, min(at_ms // 1000, 2**32 - 1))
        columns["quantity"][slot] = min(quantity, MOST_QUANTITY)

    def purchases(self, row: int) -> list[Purchase]:
        """All that is remembered of a customer, last noted first."""
        columns = self._pool.columns
        product, at_s, quantity = columns["product"], columns["at_s"], columns["quantity"]
        slot, following, out = self._pool.first(row), self._pool.next, []
        while slot != NONE:
            out.append(Purchase(product[slot], at_s[slot] * 1000, quantity[slot]))
            slot = following[slot]
        return out

    def bought(self, row: int, wanted: frozenset[int], since_ms: int) -> bool:
        """Whether any of the *wanted* products was bought at or after *since_ms* (by the second)."""
        product, at_s = self._pool.columns["product"], self._pool.columns["at_s"]
        since_s = since_ms // 1000
        return any(at_s[s] >= since_s and product[s] in wanted for s in self._pool.slots(row))

    def forget(self, row: int) -> None:
        """Erase the customer's purchases."""
        self._pool.forget(row)

    def prune(self, before_ms: int) -> int:
        """Drop all lines earlier than *before_ms*; returns how many."""
        return self._pool.prune("at_s", max(0, before_ms // 1000))
