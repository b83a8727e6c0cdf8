"""Opens what requests stand on, and closes it in the opposite order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from engine.clock import Clock
from engine.directory.directory import Directory, in_postgresql
from engine.directory.names import Names
from engine.directory.names import in_postgresql as numbers_in_postgresql
from engine.embedded.secrets import load_secrets
from engine.http.call import Pools, Services
from engine.http.keys import KeyRing
from engine.http.limits import Gate, RateLimit
from engine.http.tokens import Tokens
from engine.http.wakes import Wakes
from engine.http.watch import Watch
from engine.log.valkey import connect
from engine.log.writer import LogWriter
from engine.postgres.pool import ENGINE, TENANT, open_pool
from engine.settings import Settings

MOST_AT_ONCE = 512
RESERVE_AT_ONCE = 256
INTAKE_AT_ONCE = 16
"""Bodies of uploads on their way in, a few megabytes of memory each."""
SUBSCRIBERS_AT_ONCE = 32
"""Each holds a connection to Valkey."""
CUSTOMER_PER_MINUTE = 600
GUESSES_PER_MINUTE = 300
"""Unknown coupon codes of one till key."""


@asynccontextmanager
async def services(settings: Settings) -> AsyncIterator[Services]:
    """Everything of one API process. Raises `ServerError` when PostgreSQL cannot be used; Valkey may come later."""
    secrets = load_secrets(settings)
    async with AsyncExitStack() as stack:
        pools = Pools(
            engine=await _pool(stack, settings, ENGINE, 8),
            tenant=await _pool(stack, settings, TENANT, 6),
            engine_reserve=await _pool(stack, settings, ENGINE, 3),
            tenant_reserve=await _pool(stack, settings, TENANT, 4),
        )
        valkey = connect(settings.redis_url, timeout_s=2.0)
        stack.push_async_callback(valkey.aclose)
        writer = LogWriter(valkey, bound_bytes=settings.log_bytes, group_ms=settings.group_commit_ms)
        with contextlib.suppress(Exception):  # the writer loads its functions again when it finds them missing
            await writer.open()
        directory, wakes = Directory(in_postgresql(pools.engine)), Wakes()
        watch = Watch(valkey, directory, wakes)
        stack.push_async_callback(watch.close, asyncio.create_task(watch.run()))
        yield Services(
            settings=settings,
            clock=Clock(settings.clock_offset_ms),
            pools=pools,
            valkey=valkey,
            writer=writer,
            directory=directory,
            names=Names(numbers_in_postgresql(pools.engine)),
            wakes=wakes,
            keys=KeyRing(pools.engine_reserve),
            tokens=Tokens(secrets.token_key),
            secrets=secrets,
            key_rate=RateLimit(settings.rate_per_minute),
            customer_rate=RateLimit(CUSTOMER_PER_MINUTE),
            guess_rate=RateLimit(GUESSES_PER_MINUTE),
            gate=Gate(MOST_AT_ONCE),
            reserve_gate=Gate(RESERVE_AT_ONCE),
            intake_gate=Gate(INTAKE_AT_ONCE),
            subscriber_gate=Gate(SUBSCRIBERS_AT_ONCE),
        )


async def _pool(stack: AsyncExitStack, settings: Settings, role: Any, most: int) -> Any:
    pool = await open_pool(settings, role, 1, most)
    stack.push_async_callback(pool.close)
    return pool
