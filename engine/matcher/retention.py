"""How long each table keeps its rows; one matcher cleans once an hour. The README's table says the same."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from engine.postgres import queries

CLEAN_EVERY_S = 3600.0


async def clean(pool: asyncpg.Pool, snapshots: Path) -> None:
    """Delete what is older than its table keeps, and snapshot files no manifest names any more."""
    async with pool.acquire() as connection, connection.transaction():
        if not await queries.retention.only_one_cleans(connection):
            return
        tables = ("facts", "idempotency_keys", "inbox", "messages", "devices", "purchases", "uploads", "tallies")
        for table in tables:
            await getattr(queries.retention, table)(connection)
        forgotten = [row["manifest"] async for row in queries.snapshots.forget_old(connection)]
        kept = {name async for row in queries.snapshots.manifests(connection) for name in row["manifest"].values()}
    for manifest in forgotten:
        for name in set(manifest.values()) - kept:
            (snapshots / name).unlink(missing_ok=True)
