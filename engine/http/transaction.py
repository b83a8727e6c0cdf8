"""The transaction of a call: as a retailer or as the engine, from the common share or from the reserve."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.http.call import Call
from engine.http.problems import Problem
from engine.postgres import queries
from engine.postgres.pool import tenant


@asynccontextmanager
async def transaction(call: Call) -> AsyncIterator[None]:
    """Set `call.connection` for the time of one transaction; commits unless the block raises."""
    pools, route = call.services.pools, call.route
    if route.work == "tenant":
        pool = pools.tenant_reserve if route.reserve else pools.tenant
        async with tenant(pool, call.retailer) as call.connection:
            if call.caller.retailer is None:  # an admin may name one that does not exist
                await _require_retailer(call)
            yield
    else:
        pool = pools.engine_reserve if route.reserve else pools.engine
        async with pool.acquire() as call.connection, call.connection.transaction():
            yield


async def _require_retailer(call: Call) -> None:
    if await queries.retailers.find_retailer(call.connection, id=call.retailer) is None:
        raise Problem("not_found", "the retailer does not exist")
