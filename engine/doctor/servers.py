"""PostgreSQL and Valkey, and whether they agree with each other and with this version."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import redis.asyncio as redis

from engine.doctor.finding import Finding, Findings, Verdict
from engine.errors import CandlemakerError
from engine.log.keys import PARTITIONS, meta_key
from engine.postgres import queries
from engine.postgres.migrate import available, pending, require_same_partitions, require_version
from engine.postgres.pool import ENGINE, TENANT, connect, not_durable, place
from engine.settings import Settings

_DRIFT_MS = 1_000
_MUCH_DRIFT_MS = 30_000


async def examine(settings: Settings, *, runs: bool) -> Findings:
    """Findings about both servers; *runs*: matchers are expected to be there."""
    cache = redis.Redis.from_url(settings.redis_url, socket_timeout=5, decode_responses=True)
    checks: list[Callable[[], Findings]] = [lambda: _valkey(settings, cache), lambda: _clock_of_valkey(cache)]
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(cache.aclose)
        try:
            database = await connect(settings)
            stack.push_async_callback(database.close)
        except CandlemakerError as error:
            yield Finding("problem", str(error))
        else:
            checks += [
                lambda: _postgres(settings, database),
                lambda: _clock_of_postgres(database),
                lambda: _schema(database),
                lambda: _log(database, cache),
            ]
            checks += [lambda: _owners(database)] if runs else []
        for check in checks:
            async for finding in _caught(settings, check()):
                yield finding
    if settings.clock_offset_ms:
        yield Finding("warning", f"every clock is moved by {settings.clock_offset_ms} ms (CANDLEMAKER_CLOCK_OFFSET_MS)")


async def _caught(settings: Settings, findings: Findings) -> Findings:
    """A check that fails is itself a finding; the next ones still run."""
    try:
        async for finding in findings:
            yield finding
    except CandlemakerError as error:
        yield Finding("problem", str(error))
    except (OSError, redis.RedisError) as error:
        yield Finding("problem", f"Valkey at {place(settings.redis_url)} cannot be used: {error}; check REDIS_URL")


async def _postgres(settings: Settings, database: Any) -> Findings:
    await require_version(database)
    version = await queries.doctor.version(database)
    yield Finding("ok", f"PostgreSQL {version} answers at {place(settings.database_url)}")
    if loose := await not_durable(database):
        yield Finding("problem", f"PostgreSQL has {', '.join(loose)}: acknowledged data can be lost; switch it on")
    else:
        yield Finding("ok", "PostgreSQL keeps what it acknowledged (fsync, full_page_writes, synchronous_commit)")
    for role in (ENGINE, TENANT):
        acting = await queries.doctor.acting(database, role=role)
        if acting == "missing":
            yield Finding("warning", f"the role {role} is missing: candlemaker migrate makes it")
        elif acting == "forbidden":
            yield Finding("problem", f"this user may not act as {role}: GRANT {role} TO it")


async def _schema(database: Any) -> Findings:
    if todo := await pending(database, available()):
        names = ", ".join(f"{migration.number:04}_{migration.name}" for migration in todo)
        yield Finding("warning", f"migrations to apply: {names}; candlemaker migrate or up does")
        return
    yield Finding("ok", "all migrations are applied")
    await require_same_partitions(database)
    yield Finding("ok", f"the database counts customers into the same {PARTITIONS} partitions as this version")


async def _valkey(settings: Settings, cache: Any) -> Findings:
    info = await cache.info()
    name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = info.get("valkey_version") or info["redis_version"]
    yield Finding("ok", f"{name} {version} answers at {place(settings.redis_url)}")
    if info["aof_enabled"]:
        yield Finding("ok", f"{name} writes an append-only file")
    else:
        yield Finding(
            "warning", f"{name} has no append-only file, a restart loses pings not yet matched: appendonly yes"
        )
    if info["maxmemory_policy"] == "noeviction":
        yield Finding("ok", f"{name} evicts nothing")
    else:
        yield Finding("problem", f"{name} evicts by {info['maxmemory_policy']}: set maxmemory-policy noeviction")


async def _clock_of_postgres(database: Any) -> Findings:
    before_ms = time.time() * 1000
    at_ms = float(await queries.doctor.clock_ms(database))
    yield _drift("PostgreSQL", before_ms, at_ms)


async def _clock_of_valkey(cache: Any) -> Findings:
    before_ms = time.time() * 1000
    seconds, microseconds = await cache.time()
    yield _drift("Valkey", before_ms, seconds * 1000 + microseconds / 1000)


def _drift(name: str, before_ms: float, at_ms: float) -> Finding:
    """A reading taken between *before_ms* and now agrees with us if it lies between them."""
    drift_ms = max(before_ms - at_ms, at_ms - time.time() * 1000, 0.0)
    verdict: Verdict = "ok"
    if drift_ms > _DRIFT_MS:
        verdict = "problem" if drift_ms > _MUCH_DRIFT_MS else "warning"
    advice = "" if verdict == "ok" else "; synchronise the clocks (NTP)"
    return Finding(verdict, f"{name}'s clock and ours differ by {drift_ms:.0f} ms{advice}")


async def _log(database: Any, cache: Any) -> Findings:
    if not await queries.doctor.is_migrated(database):
        return
    known = {row["p"]: row["log_epoch"] async for row in queries.doctor.partitions(database) if row["log_epoch"]}
    lost = [p for p, epoch in known.items() if await cache.hget(meta_key(p), "epoch") != epoch]
    if lost:
        yield Finding(
            "warning", f"Valkey lost the log of partitions {lost}; their matchers begin a new one by themselves"
        )
    else:
        yield Finding("ok", f"Valkey has the logs that PostgreSQL knows ({len(known)})")


async def _owners(database: Any) -> Findings:
    if not await queries.doctor.is_migrated(database):
        return
    without = PARTITIONS - await queries.doctor.owned(database)
    if without:
        yield Finding(
            "warning", f"{without} of {PARTITIONS} partitions have no owner: start a matcher (candlemaker up)"
        )
    else:
        yield Finding("ok", f"all {PARTITIONS} partitions have an owner")
