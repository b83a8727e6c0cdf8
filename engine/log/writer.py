"""The API's side of the log: accepted pings wait at most two milliseconds for company, then are appended.

A request's pings are acknowledged when every partition they belong to has them. Pings are not the truth of anything:
a batch of which one partition was full is answered 503 as a whole, and its repetition is dropped by the watermark where
it had arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from redis.asyncio import Redis

from engine.errors import Busy
from engine.log.entries import EntryKind, PingBatch, PingRow, SearchEvent, encode
from engine.log.keys import PARTITIONS, log_key, meta_key
from engine.log.valkey import ResponseError, load_functions, says_unloaded

MAX_WAITING_PINGS = 200_000
"""Pings that may wait for the group commit before the API answers 503."""

Refused = Mapping[int, str]
"""Partition → why its log took nothing; empty when all did."""

_KEYS = [(log_key(p), meta_key(p)) for p in range(PARTITIONS)]


@dataclass
class _Group:
    """What the next append takes, and who waits for it."""

    batches: list[PingBatch] = field(default_factory=list)
    rows: list[PingRow] = field(default_factory=list)
    searches: list[SearchEvent] = field(default_factory=list)
    pings: int = 0
    waiting: list[asyncio.Future[Refused]] = field(default_factory=list)


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
        """Return once *batch* is in the log; raise `Busy` when one of its logs is full or out of reach."""
        self._room_for(len(batch)).batches.append(batch)
        refused = await self._joined()
        if refused:
            _raise_if_among((batch.number % PARTITIONS).tolist(), refused)

    async def ping(self, row: PingRow) -> None:
        """`pings` of one, without the cost of columns of one row each."""
        self._room_for(1).rows.append(row)
        refused = await self._joined()
        if refused:
            _raise_if_among([row[0] % PARTITIONS], refused)

    async def search(self, event: SearchEvent) -> None:
        """Return once the search is in the log; raise `Busy` as for pings."""
        self._group.searches.append(event)
        _raise_if_among([event.number % PARTITIONS], await self._joined())

    def _room_for(self, pings: int) -> _Group:
        group = self._group
        if group.pings + pings > MAX_WAITING_PINGS:
            raise Busy("too many pings are waiting to be appended")
        group.pings += pings
        return group

    async def _joined(self) -> Refused:
        """Wait for the group's append; the first to join starts the clock."""
        group, loop = self._group, asyncio.get_running_loop()
        if not group.waiting:
            task = loop.create_task(self._append_soon(group))
            self._tasks.add(task)  # the loop itself keeps only weak references
            task.add_done_callback(self._tasks.discard)
        mine: asyncio.Future[Refused] = loop.create_future()
        group.waiting.append(mine)
        return await mine

    async def _append_soon(self, group: _Group) -> None:
        await asyncio.sleep(self._group_s)
        async with self._writing:
            if self._group is group:
                self._group = _Group()
            try:
                refused = await self._append(group)
            except Exception as error:  # whatever it is, nobody may wait for ever
                refused = dict.fromkeys(range(PARTITIONS), f"the log is out of reach: {type(error).__name__}")
        for mine in group.waiting:
            if not mine.done():  # one that went away was cancelled
                mine.set_result(refused)

    async def _append(self, group: _Group) -> Refused:
        entries = _entries(group)
        keys = [key for p, _, _ in entries for key in _KEYS[p]]
        arguments = [part for _, kind, payload in entries for part in (kind, payload)]
        try:
            answer = await self._client.fcall("candlemaker_append_all", len(keys), *keys, self._bound_bytes, *arguments)
        except ResponseError as error:
            if says_unloaded(error):
                await load_functions(self._client)
            raise
        return {entries[place][0]: why.decode() for place, why in zip(answer[::2], answer[1::2], strict=True)}


def _raise_if_among(partitions: Iterable[int], refused: Refused) -> None:
    for p in partitions:
        if p in refused:
            raise Busy(refused[p])


def _entries(group: _Group) -> list[tuple[int, str, bytes]]:
    """(partition, kind, payload) of everything in the group; one ping entry a partition."""
    entries: list[tuple[int, str, bytes]] = []
    if group.pings:
        singles = [PingBatch.of(group.rows)] if group.rows else []
        everything = PingBatch.join(group.batches + singles)
        entries.extend((p, EntryKind.PINGS.value, payload) for p, payload in everything.by_partition())
    entries.extend((e.number % PARTITIONS, EntryKind.SEARCH.value, encode(e)) for e in group.searches)
    return entries
