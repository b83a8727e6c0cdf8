"""The matcher's parts in this process on real servers, and the world of `matcher_world` in the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import numpy as np
from redis.asyncio import Redis

from engine.clock import Clock
from engine.log.entries import PingBatch
from engine.log.stream import Log
from engine.log.valkey import connect as valkey
from engine.log.valkey import load_functions
from engine.log.writer import LogWriter
from engine.matcher.checkpoint import Checkpoints
from engine.matcher.cycle import Cycle
from engine.matcher.recover import Owned, Recovery
from engine.matcher.snapshots import Snapshots
from engine.postgres.pool import ENGINE, connect, open_pool
from engine.settings import Settings
from tests.reference.matcher_world import CONSENTS, GRANTED, PLACES, SPECS, STORES, P, number

KEY = b"a coupon key of thirty-two bytes"
TOTAL = 1_000
LIVE = 1
"""The campaign that is live."""


async def furnish(settings: Settings) -> None:
    """Retailer 1, its stores, campaigns, blocks of partition P and customers, with the ids of `matcher_world`."""
    database = await connect(settings)
    try:
        await database.execute("INSERT INTO retailer OVERRIDING SYSTEM VALUE VALUES (1, 'Candles', 'EUR')")
        for one in STORES:
            await database.execute(
                "INSERT INTO store (id, retailer, code, name, lat, lng, cell, zone, opening_hours)"
                " OVERRIDING SYSTEM VALUE VALUES ($1, 1, $2, $2, $3, $4, 0, $5, $6)",
                *(one.id, one.code, one.lat, one.lng, one.zone, one.opening_hours),
            )
        for id in (1, 2):
            await database.execute("INSERT INTO product (retailer, code, name) VALUES (1, $1, 'Candle')", f"p{id}")
        await _campaigns(database)
        for row, consents in enumerate(CONSENTS):
            await database.execute(
                "INSERT INTO customer (number, p, id, consents) VALUES ($1, $2, $3, $4)",
                *(number(row), P, f"customer {row}", consents),
            )
    finally:
        await database.close()


async def _campaigns(database: Any) -> None:
    for id, spec in SPECS.items():
        await database.execute(
            "INSERT INTO campaign (id, retailer, code, state, spec, starts_at, ends_at)"
            " OVERRIDING SYSTEM VALUE VALUES ($1, 1, $2, $3, $4, $5, $6)",
            *(id, f"{spec.code}-{id}", "live" if id == LIVE else "draft", lasting(spec), *_dates()),
        )
        await database.execute("INSERT INTO budget VALUES ($1, 1, $2, $3)", id, TOTAL, GRANTED[id])
        await database.execute("INSERT INTO budget_block VALUES ($1, $2, $3, 0)", id, P, GRANTED[id])


def _dates() -> tuple[datetime, datetime]:
    return datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def lasting(spec: Any) -> Any:
    """The spec with dates that hold whenever the tests run, as jsonb."""
    starts, ends = _dates()
    return msgspec.to_builtins(msgspec.structs.replace(spec, starts_at=starts, ends_at=ends))


@dataclass
class Owner:
    """One matcher's parts, turned by hand."""

    pool: Any
    client: Redis
    stream: Log
    snapshots: Snapshots
    recovery: Recovery
    cycle: Cycle
    writer: LogWriter
    began_ms: int = field(default_factory=Clock().now_ms)
    """When the test began; reports are dated from here on."""

    async def take(self) -> Owned:
        """Own partition P from now on."""
        owned = await self.recovery.take_over(P)
        self.cycle.take(owned)
        return owned

    @property
    def owns(self) -> bool:
        return P in self.cycle.owned

    async def pings(self, rows: list[int], place: str, at_ms: int) -> None:
        """Append acknowledged pings of *rows*."""
        count, (lat, lng) = len(rows), PLACES[place]
        numbers = np.array([number(row) for row in rows], np.int64)
        columns = (np.full(count, lat), np.full(count, lng), np.full(count, 8.0, np.float32))
        await self.writer.pings(PingBatch(numbers, *columns, np.full(count, at_ms, np.int64)))


@asynccontextmanager
async def owner(settings: Settings, folder: Path) -> AsyncIterator[Owner]:
    """The parts of a matcher on *settings*' servers, which compile their snapshots into *folder*."""
    pool = await open_pool(settings, ENGINE, 1, 4)
    client = valkey(settings.redis_url)
    try:
        await load_functions(client)
        stream, snapshots = Log(client, offset_ms=0), Snapshots(pool, folder, Clock())
        cycle = Cycle(pool, stream, client, snapshots, settings)
        cycle.coupon_key = KEY
        recovery = Recovery(pool, stream, Checkpoints(client), snapshots, settings)
        await snapshots.compile_if_changed()
        writer = LogWriter(client, bound_bytes=settings.log_bytes, group_ms=0.0)
        yield Owner(pool, client, stream, snapshots, recovery, cycle, writer)
    finally:
        await client.aclose()
        pool.terminate()


async def rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    """What the database says, to a connection of its own."""
    database = await connect(settings)
    try:
        return [tuple(row) for row in await database.fetch(sql)]
    finally:
        await database.close()


class Scissors:
    """A wire to PostgreSQL that is cut, once armed, when the server has answered the next turn: it is committed, its
    answer never arrives."""

    def __init__(self, settings: Settings) -> None:
        self._url = urlsplit(settings.database_url)
        self._pumps: set[asyncio.Task[None]] = set()
        self.armed = False
        self.cuts = 0

    async def __aenter__(self) -> str:
        """The address to connect to."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user = self._url.netloc.rpartition("@")[0]
        return urlunsplit(self._url._replace(netloc=f"{user}@127.0.0.1:{port}"))

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _serve(self, here: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        there, forth = await asyncio.open_connection(self._url.hostname, self._url.port)
        wire = _Wire(self)
        for pump in (wire.out(here, forth), wire.home(there, back)):
            task = asyncio.create_task(pump)
            self._pumps.add(task)
            task.add_done_callback(lambda _: forth.close())
            task.add_done_callback(lambda _: back.close())


class _Wire:
    """One connection through the scissors."""

    def __init__(self, scissors: Scissors) -> None:
        self._scissors = scissors
        self._committing = False

    async def out(self, here: asyncio.StreamReader, forth: asyncio.StreamWriter) -> None:
        while some := await here.read(65536):
            self._committing = self._scissors.armed and b'"moves":' in some
            forth.write(some)

    async def home(self, there: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while some := await there.read(65536):
            if self._committing:
                self._scissors.armed = False
                self._scissors.cuts += 1
                return
            back.write(some)
