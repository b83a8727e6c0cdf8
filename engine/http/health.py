"""/livez, /readyz and /metrics; none of them needs a key, /metrics answers others than loopback only with one."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from engine.errors import ServerError
from engine.http.authorise import authorise
from engine.http.call import Call, Reply, Services
from engine.http.problems import Problem
from engine.http.routes import Route, scopes
from engine.log.valkey import RedisError
from engine.postgres.migrate import available, pending
from engine.postgres.pool import LOST
from engine.telemetry import render

PATIENCE_S = 2.0
_LOOPBACK = ("127.0.0.1", "::1")


class Live(msgspec.Struct, frozen=True):
    """The process runs."""

    live: bool = True


class Ready(msgspec.Struct, frozen=True):
    """What this process needs, and whether it has it."""

    ready: bool
    postgresql: str
    valkey: str
    migrations: str


async def livez(call: Call) -> Reply:
    """200 as long as the process answers at all."""
    return Reply(200, msgspec.json.encode(Live()))


async def readyz(call: Call) -> Reply:
    """200 when requests can be worked on, 503 while something is missing or the process drains."""
    services = call.services
    (postgresql, migrations), valkey = await asyncio.gather(_postgresql(services), _valkey(services))
    ready = services.ready and (postgresql, migrations, valkey) == ("ok", "ok", "ok")
    body = msgspec.json.encode(Ready(ready, postgresql, valkey, migrations))
    return Reply(200 if ready else 503, body, headers=() if ready else ((b"retry-after", b"1"),))


async def metrics(call: Call) -> Reply:
    """Prometheus text. From loopback without a key, from elsewhere with an admin key."""
    client: Any = call.scope.get("client")
    if client is None or client[0] not in _LOOPBACK:
        await authorise(call.services, _ADMIN_ONLY, call.headers, asyncio.get_running_loop().time())
    return Reply(200, render(), b"text/plain; version=0.0.4; charset=utf-8")


async def _postgresql(services: Services) -> tuple[str, str]:
    """(PostgreSQL, migrations) as words."""
    try:
        async with asyncio.timeout(PATIENCE_S), services.pools.engine.acquire() as connection:
            waiting = await pending(connection, available())
    except (*LOST, TimeoutError):
        return "away", "unknown"
    except ServerError:
        return "ok", "not those of this version"
    return "ok", f"{len(waiting)} to apply" if waiting else "ok"


async def _valkey(services: Services) -> str:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await services.valkey.ping()
    except (RedisError, OSError, TimeoutError):
        return "away"
    return "ok"


async def _nothing(call: Call) -> None:
    raise Problem("not_found")


_ADMIN_ONLY = Route(method="GET", path="/metrics", scopes=scopes("admin"), handler=_nothing, summary="")
