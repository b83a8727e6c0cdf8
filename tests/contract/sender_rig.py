"""A whole sender in this process: real PostgreSQL and Valkey, a stand-in, a city of customers with one phone each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.channels.fcm import FcmChannel
from engine.clock import Clock
from engine.log.keys import OUTBOX_CHANNEL
from engine.log.valkey import connect as valkey
from engine.postgres.pool import ENGINE, connect, open_pool
from engine.sender.run import Sender
from engine.settings import Settings
from engine.standin.script import Answer, Script
from engine.standin.server import Manners, StandIn, serving
from tests.contract.fcm_rig import give_account

WORLD = """
INSERT INTO retailer (name, currency) VALUES ('One', 'EUR');
INSERT INTO store (retailer, code, name, lat, lng, cell, zone) VALUES (1, 's', 'S', 60, 24, 0, 'Europe/Helsinki');
"""
PEOPLE = """
WITH made AS (
    INSERT INTO customer (number, p, id, consents, zone)
    SELECT n, n % 16, 'c' || n, 4, 'Europe/Helsinki' FROM generate_series(0, $1::bigint - 1) n RETURNING number
)
INSERT INTO device (customer, name, platform, kind, registration, registered_at)
SELECT number, 'p', 'android', 'token', 'r' || number, candlemaker_now() - interval '1 minute' FROM made
"""
QUEUE = """
WITH given AS (
    SELECT n, gen_random_uuid() AS decision, gen_random_uuid() AS message FROM generate_series(0, $2::bigint - 1) n
), decisions AS (
    INSERT INTO decision (id, p, position, customer, trigger, occasion, campaign, retailer, store, cell, event_at,
                          logged_at, decided_at, terms, held)
    SELECT decision, n % 16, 1, n, 'enter', gen_random_uuid(), $1, 1, 1, 0, at, at, at, '{}', '[]'
    FROM given, candlemaker_now() at
), coupons AS (
    INSERT INTO coupon (id, decision, retailer, campaign, store, customer, code_hash, offer, issued_at, valid_until)
    SELECT gen_random_uuid(), decision, 1, $1, 1, n, sha256(decision::text::bytea), '{}', candlemaker_now(),
           candlemaker_now() + interval '1 day'
    FROM given
), chunks AS (
    INSERT INTO chunk (day, channel, lane, campaign, size, due_at)
    SELECT candlemaker_now()::date, 'fcm', $3, CASE $3 WHEN 'bulk' THEN $1 END, count(*),
           candlemaker_now() + interval '1 hour'
    FROM given GROUP BY n / 1000 ORDER BY n / 1000 RETURNING id
), placed AS (
    SELECT id, row_number() OVER (ORDER BY id) - 1 AS nth FROM chunks
)
INSERT INTO message (day, chunk, seq, id, decision, customer, campaign, channel, title, body, expires_at)
SELECT candlemaker_now()::date, placed.id, n % 1000 + 1, message, decision, n, $1, 'fcm', 'Hello', 'Light',
       candlemaker_now() + $4::float8 * interval '1 second'
FROM given JOIN placed ON placed.nth = n / 1000
"""
GO = """
UPDATE chunk SET due_at = candlemaker_now()
WHERE leased_by IS NULL AND due_at > candlemaker_now() + interval '30 minutes'
"""
ENDED = "SELECT NOT EXISTS (SELECT FROM chunk)"


@dataclass
class Rig:
    """What a test works with."""

    settings: Settings
    stand_in: StandIn
    database: Any
    client: Any
    stops: list[asyncio.Event] = field(default_factory=list)

    async def campaign(self, code: str = "c") -> int:
        """A live campaign."""
        number: int = await self.database.fetchval(
            "INSERT INTO campaign (retailer, code, state, spec, starts_at, ends_at)"
            " VALUES (1, $1, 'live', '{}', candlemaker_now(), candlemaker_now() + interval '1 day') RETURNING id",
            code,
        )
        return number

    async def queue(self, campaign: int, count: int, lane: str = "triggered", life_s: float = 3600) -> None:
        """Messages for the first *count* customers, due when `go` is called."""
        await self.database.execute(QUEUE, campaign, count, lane, life_s)

    async def go(self) -> None:
        """Everything that was queued is due now, and the senders are told; what is tried again waits on."""
        await self.database.execute(GO)
        await self.wake()

    async def wake(self) -> None:
        """As the matcher does after a commit."""
        await self.client.publish(OUTBOX_CHANNEL, b"1")

    def script(self, registration: str, *answers: Answer) -> None:
        """What the stand-in answers."""
        self.stand_in.scripts.put(Script(registration, list(answers)))

    @property
    def arrivals(self) -> list[Any]:
        """Every request that reached the stand-in."""
        return self.stand_in.ledger.since(0, {}, 1_000_000)

    async def ended(self, timeout_s: float = 90.0) -> dict[tuple[str, str], int]:
        """Wait until nothing waits; (state, reason) → messages."""
        await self.until(lambda: self.database.fetchval(ENDED), timeout_s)
        return await self.states()

    async def states(self) -> dict[tuple[str, str], int]:
        """(state, reason) → messages."""
        rows = await self.database.fetch("SELECT state, reason, count(*) AS n FROM message_state GROUP BY 1, 2")
        return {(row["state"], row["reason"]): row["n"] for row in rows}

    async def until(self, true: Callable[[], Any], timeout_s: float = 90.0) -> None:
        """Wait until *true* says so."""
        deadline_s = time.monotonic() + timeout_s
        while not await true():
            assert time.monotonic() < deadline_s, f"not in time: {await self.states()}"
            await asyncio.sleep(0.02)

    async def devices(self) -> dict[str, int]:
        """State → registrations."""
        rows = await self.database.fetch("SELECT state, count(*) AS n FROM device GROUP BY 1")
        return {row["state"]: row["n"] for row in rows}

    @asynccontextmanager
    async def sender(self, **more: Any) -> AsyncIterator[asyncio.Event]:
        """A sender that runs until the context ends, or the event it answers is set."""
        settings = replace(self.settings, **more)
        pool = await open_pool(settings, ENGINE, min_size=3, max_size=8, enable_seqscan="off")
        client = valkey(settings.redis_url)
        channel = FcmChannel.open(settings)
        stop = asyncio.Event()
        task = asyncio.create_task(Sender(pool, client, channel, settings).run(stop))
        try:
            yield stop
            stop.set()
            done, _ = await asyncio.wait({task}, timeout=30)
            if not done:
                for t in asyncio.all_tasks():
                    t.print_stack()
            await asyncio.wait_for(task, 1)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await channel.close()
            await client.aclose()
            pool.terminate()


@asynccontextmanager
async def rig(settings: Settings, folder: Path, people: int, manners: Manners | None = None) -> AsyncIterator[Rig]:
    """The world on *settings*' servers, with *people* customers."""
    give_account(folder)
    database = await connect(settings)
    client = valkey(settings.redis_url)
    async with serving(folder, clock=Clock(settings.clock_offset_ms), manners=manners) as stand_in:
        await database.execute(WORLD)
        await database.execute(PEOPLE, people)
        known = replace(
            settings,
            fcm_service_account=str(stand_in.service_account),
            fcm_base_url=stand_in.tls_address or stand_in.address,
            fcm_ca=str(stand_in.certificate or ""),
            fcm_ramp_s=0,
            fcm_quarter_guard_s=0,
        )
        yield Rig(known, stand_in, database, client)
    await client.aclose()
    await database.close()
