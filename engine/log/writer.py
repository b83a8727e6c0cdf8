"""The API's side of the log: accepted pings wait at most two milliseconds for company, then are appended.

A request's pings are acknowledged when every partition they belong to has them. Pings are not the truth of anything: a
batch of which one partition was full is answered 503 as a whole, and its repetition is dropped by the watermark
where it had arrived.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
from redis.asyncio import Redis

from engine.errors import Busy
from engine.log.entries import EntryKind, PingBatch, SearchEvent, encode
from engine.log.keys import PARTITIONS, log_key, meta_key
from engine.log.valkey import RedisError, load_functions

MAX_WAITING_PINGS = 200_000
"""Pings that may wait for the group commit before the API answers 503."""


@dataclass
class _Group:
    """What the next append takes."""

    batches: list[PingBatch] = field(default_factory=list)
    searches: list[SearchEvent] = field(default_factory=list)
    pings: int = 0
    done: asyncio.Future[None] | None = None


class LogWriter:
    """Appends pings and searches to the partitions' streams, many requests at a time."""

    def __init__(self, client: Redis, *, bound_bytes: int, group_ms: float) -> None:
        self._client = client
        self._bound_bytes = bound_bytes
        self._group_s = group_ms / 1000
        self._group = _Group()
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Load the log's functions into the server."""
        await load_functions(self._client)

    async def pings(self, batch: PingBatch) -> None:
        """Return once *batch* is in the log; raise `Busy` when it is at its bound or out of reach."""
        if self._group.pings + len(batch) > MAX_WAITING_PINGS:
            raise Busy("too many pings are waiting to be appended")
        self._group.batches.append(batch)
        self._group.pings += len(batch)
        await self._joined()

    async def search(self, event: SearchEvent) -> None:
        """Return once the search is in the log; raise `Busy` as for pings."""
        self._group.searches.append(event)
        await self._joined()

    async def _joined(self) -> None:
        """Wait for the group's append; the first to join starts the clock."""
        group = self._group
        if group.done is None:
            group.done = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._append_soon(group))
            self._tasks.add(task)  # the loop itself keeps only weak references
            task.add_done_callback(self._tasks.discard)
        await asyncio.shield(group.done)

    async def _append_soon(self, group: _Group) -> None:
        await asyncio.sleep(self._group_s)
        async with self._writing:
            if self._group is group:
                self._group = _Group()
            assert group.done is not None
            try:
                await self._append(group)
            except Exception as error:
                busy = error if isinstance(error, Busy) else Busy(f"the log is out of reach: {type(error).__name__}")
                group.done.set_exception(busy)
                group.done.exception()  # retrieved here: every waiter may have gone away
            else:
                group.done.set_result(None)

    async def _append(self, group: _Group) -> None:
        pipe = self._client.pipeline(transaction=False)
        for p, kind, payload in _entries(group):
            pipe.fcall("candlemaker_append", 2, log_key(p), meta_key(p), self._bound_bytes, kind, payload)
        answers = await pipe.execute(raise_on_error=False)
        failed = [answer for answer in answers if isinstance(answer, RedisError)]
        if any("unction not found" in str(answer) for answer in failed):
            await load_functions(self._client)  # the server came back empty
        if failed:
            raise Busy(f"the log refused {len(failed)} of {len(answers)} entries: {str(failed[0])[:80]}")


def _entries(group: _Group) -> list[tuple[int, str, bytes]]:
    """(partition, kind, payload) of everything in the group; one ping entry a partition."""
    entries: list[tuple[int, str, bytes]] = []
    if group.batches:
        everything = PingBatch.join(group.batches)
        partitions = everything.number % PARTITIONS
        order = np.argsort(partitions, kind="stable")
        bounds = np.searchsorted(partitions[order], np.arange(PARTITIONS + 1))
        for p in range(PARTITIONS):
            if bounds[p] < bounds[p + 1]:
                mine = everything.take(order[bounds[p] : bounds[p + 1]])
                entries.append((p, EntryKind.PINGS.value, encode(mine)))
    entries.extend((e.number % PARTITIONS, EntryKind.SEARCH.value, encode(e)) for e in group.searches)
    return entries
