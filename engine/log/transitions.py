"""What happened at fences, for who subscribes: one bounded stream beside the partitions' logs.

A matcher appends the transitions of one turn, all its partitions', as one entry of columns, before it commits the
positions they were found at. So each is told at least once: after a crash the next owner finds the same ones again, and
(customer, fence, kind, since, at) names one. Nothing rests on this stream but its subscribers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis

from engine.log.entries import HEADER
from engine.log.keys import TRANSITIONS_KEY
from engine.log.valkey import load_functions, says_unloaded

VERSION: Final = 1
MOST_ROWS: Final = 4_096
"""Of one entry: 180 KB."""
BEGINNING: Final = "0-0"

TOLD: Final = np.dtype(
    [
        ("number", "<i8"),
        ("fence", "<i8"),
        ("store", "<i8"),
        ("at_ms", "<i8"),
        ("since_ms", "<i8"),
        ("dwell_s", "<i4"),
        ("kind", "u1"),
        ("reason", "u1"),
        ("initial", "?"),
    ]
)
"""One transition: the customer's number, the fence by its stable id, the store it belongs to; the rest as geo's
TRANSITION has it."""

Told = NDArray[np.void]


class Batch(NamedTuple):
    """One entry of the stream. *total* is the bytes ever appended up to its end."""

    id: str
    total: int
    rows: Told
    size: int

    @property
    def began(self) -> int:
        """The total before it, as the log's functions count: where another one began, something was trimmed between."""
        return self.total - self.size - 64


def encode(rows: Told) -> bytes:
    """Header (version, count), then the records."""
    return HEADER.pack(VERSION, len(rows)) + rows.tobytes()


def decode(payload: bytes) -> Told:
    """Inverse of `encode`; a read-only view. ValueError for other bytes."""
    version, count = HEADER.unpack_from(payload)
    if version != VERSION or len(payload) != HEADER.size + count * TOLD.itemsize:
        raise ValueError("not an entry of transitions")
    return np.frombuffer(payload, TOLD, count, HEADER.size)


class TransitionTeller:
    """The matcher's side; 0 bytes: nothing is told."""

    def __init__(self, client: Redis, *, bound_bytes: int) -> None:
        self._client = client
        self._bound_bytes = bound_bytes
        self._waiting: list[Told] = []
        self._telling = asyncio.Lock()

    def take(self, rows: Sequence[Told]) -> None:
        """What the next `tell` appends."""
        if self._bound_bytes:
            self._waiting.extend(rows)

    async def tell(self) -> None:
        """Append what was taken; behind whoever does so already, so that at its end all of it is there."""
        async with self._telling:
            waiting, self._waiting = self._waiting, []
            if not waiting:
                return
            rows = np.concatenate(waiting) if len(waiting) > 1 else waiting[0]
            parts = [encode(rows[first : first + MOST_ROWS]) for first in range(0, len(rows), MOST_ROWS)]
            try:
                await self._client.fcall("candlemaker_tell", 1, TRANSITIONS_KEY, self._bound_bytes, *parts)
            except Exception as error:
                if says_unloaded(error):
                    await load_functions(self._client)
                raise


class TransitionReader:
    """A subscriber's side: what stands behind an entry."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def newest(self) -> tuple[str, int]:
        """(id, total) of the last entry; of the beginning where there is none."""
        return _place(await self._client.xrevrange(TRANSITIONS_KEY, count=1)) or (BEGINNING, 0)

    async def at(self, id: str) -> tuple[str, int] | None:
        """(id, total) of the entry *id*; None when it is not there, not any more or never."""
        return _place(await self._client.xrange(TRANSITIONS_KEY, id, id))

    async def oldest(self) -> tuple[str, int]:
        """Where to begin to read all there is: just before the first entry."""
        found: Any = await self._client.xrange(TRANSITIONS_KEY, count=1)
        return (BEGINNING, _batch(*found[0]).began) if found else (BEGINNING, 0)

    async def behind(self, id: str, *, count: int, block_ms: int) -> list[Batch]:
        """At most *count* entries; waits up to *block_ms* for the first."""
        answer: Any = await self._client.xread({TRANSITIONS_KEY: id}, count=count, block=block_ms)
        pages = answer.values() if isinstance(answer, dict) else [[page] for _, page in answer or []]
        return [_batch(raw_id, fields) for page in pages for entries in page for raw_id, fields in entries]


def _batch(raw_id: bytes, fields: dict[bytes, bytes]) -> Batch:
    return Batch(raw_id.decode(), int(fields[b"c"]), decode(fields[b"v"]), len(fields[b"v"]))


def _place(entries: Any) -> tuple[str, int] | None:
    return (entries[0][0].decode(), int(entries[0][1][b"c"])) if entries else None
