"""Who tries to own which partition: advisory locks on one dedicated session, shared evenly among the matchers.

A matcher that is paused or cut off loses its session after five seconds without a word, and its locks with it.
"""

from __future__ import annotations

import asyncpg

from engine.log.keys import PARTITIONS
from engine.postgres import queries
from engine.postgres.pool import LOST, connect_owner
from engine.settings import Settings


class Ownership:
    """The locks this process holds; `lost` locks are found when the session is."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session: asyncpg.Connection | None = None
        self.held: set[int] = set()

    async def open(self) -> None:
        """(Re)connect and enrol; ServerError while PostgreSQL is away."""
        await self.close()
        self._session = await connect_owner(self._settings)
        await queries.ownership.enrol(self._session)

    async def close(self) -> None:
        """Give everything up at once."""
        self.held.clear()
        session, self._session = self._session, None
        if session is not None:
            session.terminate()

    async def alive(self) -> bool:
        """Say a word on the session; False when it is gone (and every lock with it)."""
        try:
            if self._session is not None and not self._session.is_closed():
                await queries.ownership.alive(self._session)
                return True
        except (*LOST, TimeoutError, asyncpg.PostgresError):
            pass
        await self.close()
        return False

    async def fair_share(self) -> int:
        """Partitions each of the matchers alive now should own, rounded up."""
        assert self._session is not None
        matchers: int = await queries.ownership.matchers(self._session)
        return -(-PARTITIONS // max(1, matchers))

    async def try_lock(self, p: int) -> bool:
        """Whether the right to own *p* is ours now."""
        assert self._session is not None
        if await queries.ownership.try_lock(self._session, p=p):
            self.held.add(p)
            return True
        return False

    async def unlock(self, p: int) -> None:
        """Leave *p* to others."""
        self.held.discard(p)
        if self._session is not None and not self._session.is_closed():
            await queries.ownership.unlock(self._session, p=p)
