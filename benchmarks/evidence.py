"""What happened, read back from PostgreSQL and the stand-in's ledger: never from a counter in anybody's memory."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from engine.postgres import queries
from engine.standin.ledger import Arrival

POLL_S = 0.02
SWITCH_S = 3.0

_MATCHED = "SELECT coalesce(sum(n), 0)::bigint FROM tally WHERE name = 'ping.accepted'"
_DROPPED = """SELECT coalesce(sum(n), 0)::bigint FROM tally
WHERE name IN ('ping.duplicate', 'ping.late', 'ping.invalid', 'ping.no_consent')"""
_DECISIONS = """SELECT id, (extract(epoch FROM event_at) * 1000)::float8 AS event_ms,
    (extract(epoch FROM decided_at) * 1000)::float8 AS decided_ms
FROM decision WHERE ($1::bigint IS NULL OR campaign = $1) AND event_at >= to_timestamp($2 / 1000.0::float8)"""
_OPEN = "SELECT count(*) FROM message_state WHERE state IN ('queued', 'leased')"

_arrival = msgspec.json.Decoder(Arrival).decode


class NotMatched(Exception):
    """What was accepted did not become matched in time."""


async def matched(database: Any) -> int:
    """Pings whose matching is committed."""
    return int(await database.fetchval(_MATCHED))


async def until_matched(database: Any, expected: int, timeout_s: float = 60.0) -> float:
    """Epoch milliseconds at which *expected* pings in all were found matched; raises `NotMatched` when they do not
    become so, or any was taken for a duplicate, late or invalid.
    """
    deadline_s = time.monotonic() + timeout_s
    while (now := await matched(database)) < expected:
        if time.monotonic() > deadline_s:
            dropped = await database.fetchval(_DROPPED)
            raise NotMatched(f"{now} of {expected} pings are matched after {timeout_s:.0f} s, {dropped} dropped")
        await asyncio.sleep(POLL_S)
    return time.time() * 1000


async def until_sent(database: Any, timeout_s: float = 90.0) -> None:
    """Return when no message waits any more; raises `NotMatched` when some do for too long."""
    deadline_s = time.monotonic() + timeout_s
    while waiting := await database.fetchval(_OPEN):
        if time.monotonic() > deadline_s:
            raise NotMatched(f"{waiting} messages still wait after {timeout_s:.0f} s")
        await asyncio.sleep(0.2)


async def until_live(database: Any, timeout_s: float = 120.0) -> None:
    """Return when no change of the catalogue waits to be compiled, and the matchers have had time to switch."""
    deadline_s = time.monotonic() + timeout_s
    while await queries.snapshots.any_changes(database):
        if time.monotonic() > deadline_s:
            raise NotMatched(f"changes are not compiled after {timeout_s:.0f} s")
        await asyncio.sleep(0.2)
    await asyncio.sleep(SWITCH_S)


async def decisions(database: Any, since_ms: float, campaign: int | None = None) -> dict[UUID, tuple[float, float]]:
    """Decision → (event, decided) in epoch milliseconds, of events from *since_ms* on."""
    rows = await database.fetch(_DECISIONS, campaign, since_ms)
    return {row["id"]: (row["event_ms"], row["decided_ms"]) for row in rows}


def ledger(path: Path) -> list[Arrival]:
    """Every request that reached the stand-in."""
    with path.open("rb") as lines:
        return [_arrival(line) for line in lines if line.endswith(b"\n")]


def arrivals(ledger: Path) -> dict[str, int]:
    """Decision id as text → when it first arrived at the stand-in and was accepted, epoch milliseconds."""
    found: dict[str, int] = {}
    with ledger.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                arrival = _arrival(line)
                if arrival.accepted:
                    found.setdefault(arrival.tag, arrival.at_ms)
    return found
