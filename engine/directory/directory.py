"""Customer id → number and consents, remembered in this process and forgotten at once when a consent changes.

An entry is one integer, `number << 6 | consents`, so that a batch of ids becomes one array. What changes here is
forgotten here; what other processes change arrives over Valkey (`engine.directory.watch`). While that wire is not
known to be alive nothing is remembered and every batch asks PostgreSQL, so a revocation is obeyed either way.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.directory.consents import BITS
from engine.postgres import queries

UNKNOWN = -1
NEVER = float("-inf")
SILENCE_S = 0.35
"""The wire counts as dead after this much silence; the watch speaks more often."""
LAG_S = 0.1
"""How long a lookup waits for a late sign of life. When the process itself is late, the notices lie in its socket, and
asking PostgreSQL for everybody would make it later still."""
MOST_KNOWN = 1_000_000


Ask = Callable[[list[str]], Awaitable[dict[str, int]]]
"""Distinct ids → the entries of those that exist, in one query."""


def in_postgresql(pool: Any) -> Ask:
    """Asks the customer table."""

    async def ask(ids: list[str]) -> dict[str, int]:
        async with pool.acquire() as connection:
            rows = queries.customers.find_entries(connection, ids=ids, shift=BITS)
            return {row["id"]: row["entry"] async for row in rows}

    return ask


class Directory:
    """One per process."""

    def __init__(self, ask: Ask, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ask_for = ask
        self._monotonic = monotonic
        self._known: dict[str, int] = {}
        self._heard_at_s = NEVER
        self._hearing = asyncio.Event()
        self._asking: set[_Asking] = set()

    async def look_up(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """i8[n]: `number << 6 | consents` of each id, `UNKNOWN` where there is no such customer."""
        if not await self._trusted():
            found = await self._ask(ids)
            return np.array([found.get(one, UNKNOWN) for one in ids], np.int64)
        entries = list(map(self._known.get, ids))
        with contextlib.suppress(TypeError):  # there is a None among them
            return np.array(entries, np.int64)
        missing = [one for one, entry in zip(ids, entries, strict=True) if entry is None]
        found = await self._ask(missing)
        entries = [found.get(one, UNKNOWN) if e is None else e for one, e in zip(ids, entries, strict=True)]
        return np.array(entries, np.int64)

    def known(self, one: str) -> int | None:
        """The entry of one id, None when PostgreSQL must be asked."""
        return self._known.get(one) if self._fresh() else None

    def heard(self) -> None:
        """The wire is alive and everything sent over it so far is applied."""
        self._heard_at_s = self._monotonic()
        self._hearing.set()

    def deaf(self) -> None:
        """The wire broke: forget everything, remember nothing until `heard`."""
        self._heard_at_s = NEVER
        self._known.clear()
        for asking in self._asking:
            asking.void = True

    def forget(self, one: str) -> None:
        """The customer changed; an answer under way may be older than the change, so it is not kept either."""
        self._known.pop(one, None)
        for asking in self._asking:
            asking.changed.add(one)

    async def _trusted(self) -> bool:
        """Whether what is remembered may be used: the wire was heard lately, or is within `LAG_S`."""
        if self._fresh():
            return True
        if self._heard_at_s == NEVER:
            return False
        self._hearing.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAG_S):
                await self._hearing.wait()
        return self._fresh()

    def _fresh(self) -> bool:
        return self._monotonic() - self._heard_at_s <= SILENCE_S

    async def _ask(self, ids: Sequence[str]) -> dict[str, int]:
        asking = _Asking()
        self._asking.add(asking)
        try:
            found = await self._ask_for(list(set(ids)))
        finally:
            self._asking.discard(asking)
        if not asking.void and self._fresh():
            self._keep({one: entry for one, entry in found.items() if one not in asking.changed})
        return found

    def _keep(self, found: dict[str, int]) -> None:
        for one in list(self._known)[: max(0, len(self._known) + len(found) - MOST_KNOWN)]:
            del self._known[one]  # the oldest first
        self._known.update(found)


class _Asking:
    """A query under way, and what changed meanwhile."""

    def __init__(self) -> None:
        self.void = False
        self.changed: set[str] = set()
