"""The recorder: gathers outcomes and writes them every tenth of a second at the latest, or a thousand at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

from engine.sender.outbox import Batch, DeadDevice, Ended, Outbox, Waiting
from engine.sender.stock import Stock

GATHER_S = 0.06
"""The rest of the tenth of a second is the transaction's."""
MOST_ROWS = 1000


class Recorder:
    """Outcomes of all lanes. What could not be written stays and is written with the next."""

    def __init__(self, outbox: Outbox, stocks: Iterable[Stock]) -> None:
        self._outbox = outbox
        self._stocks = tuple(stocks)
        self._batch = Batch()
        self._some = asyncio.Event()
        self._many = asyncio.Event()
        self._writing = asyncio.Lock()

    def ended(self, one: Ended) -> None:
        """A message is over."""
        self._batch.ended.append(one)
        self._told()

    def waiting(self, one: Waiting) -> None:
        """A message is tried again later."""
        self._batch.waiting.append(one)
        self._told()

    def dead(self, one: DeadDevice) -> None:
        """A registration must go."""
        self._batch.dead.append(one)
        self._some.set()

    @property
    def unrecorded(self) -> int:
        """Outcomes that wait to be written."""
        return self._batch.rows

    async def forever(self) -> None:
        """Write what comes, until cancelled."""
        while True:
            await self._some.wait()
            try:
                async with asyncio.timeout(GATHER_S):
                    await self._many.wait()
            except TimeoutError:
                pass
            await self.flush()

    async def flush(self) -> None:
        """Write everything there is now; raises what PostgreSQL raises, and loses nothing."""
        async with self._writing:
            batch, self._batch = self._batch, Batch()
            self._some.clear()
            self._many.clear()
            if not batch:
                return
            counts = Counter(one.chunk for one in batch.ended)
            counts.update(one.chunk for one in batch.waiting)
            batch.finished = [chunk for stock in self._stocks for chunk in stock.ends_with(counts)]
            try:
                lost = await self._outbox.record(batch)
            except BaseException:
                self._keep(batch)
                raise
            for stock in self._stocks:
                stock.settled(counts, lost)

    def _keep(self, batch: Batch) -> None:
        self._batch.ended = batch.ended + self._batch.ended
        self._batch.waiting = batch.waiting + self._batch.waiting
        self._batch.dead = batch.dead + self._batch.dead
        self._some.set()

    def _told(self) -> None:
        self._some.set()
        if self._batch.rows >= MOST_ROWS:
            self._many.set()
