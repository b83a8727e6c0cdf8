"""Customer number → id, the directory's other direction. A number never gets another id, so nothing here goes stale;
whether there still is such a customer, and with which consents, the directory says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from numpy.typing import NDArray

from engine.postgres import queries

MOST_KNOWN = 1_000_000

Ask = Callable[[list[int]], Awaitable[dict[int, str]]]
"""Distinct numbers → the ids of those that exist, in one query."""


def in_postgresql(pool: Any) -> Ask:
    """Asks the customer table."""

    async def ask(numbers: list[int]) -> dict[int, str]:
        async with pool.acquire() as connection:
            rows = queries.customers.find_names(connection, numbers=numbers)
            return {row["number"]: row["id"] async for row in rows}

    return ask


class Names:
    """One per process."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[int, str] = {}

    async def look_up(self, numbers: NDArray[Any]) -> list[str | None]:
        """The id of each number; None where there is no such customer (any more)."""
        wanted: list[int] = numbers.tolist()
        names = list(map(self._known.get, wanted))
        if None in names:
            missing = {number for number, name in zip(wanted, names, strict=True) if name is None}
            found = await self._ask(list(missing))
            names = [found.get(number) if name is None else name for number, name in zip(wanted, names, strict=True)]
            self._keep(found)
        return names

    def _keep(self, found: dict[int, str]) -> None:
        for number in list(self._known)[: max(0, len(self._known) + len(found) - MOST_KNOWN)]:
            del self._known[number]  # the oldest first
        self._known.update(found)
