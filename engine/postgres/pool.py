"""Sessions that run as `candlemaker_engine` or `candlemaker_tenant`, share our clock and speak jsonb."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import asyncpg
import msgspec

from engine.errors import ServerError
from engine.settings import Settings

Role = Literal["candlemaker_engine", "candlemaker_tenant"]
ENGINE: Role = "candlemaker_engine"
TENANT: Role = "candlemaker_tenant"

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 30.0
_IDLE_IN_TRANSACTION_MS = 5_000  # a process paused in mid-transaction holds rows that its replacement needs
_OWNER_IDLE_MS = 5_000  # a paused owner loses its session, and with it the advisory lock, after this
_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}

# What asyncpg raises when the server dies in mid-query (InternalClientError is not a PostgresError).
LOST = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError)


async def open_pool(settings: Settings, role: Role, min_size: int = 1, max_size: int = 10, **more: str) -> asyncpg.Pool:
    """A pool whose sessions run as *role*, *more* are their settings; raise `ServerError` when the server cannot be
    used."""
    with_role = session_settings(settings, role) | more
    try:
        return await asyncpg.create_pool(
            settings.database_url,
            min_size=min_size,
            max_size=max_size,
            ssl=tls(settings.database_url),
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            server_settings=with_role,
            init=speak_json,
            reset=_nothing_to_reset,
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise unreachable(settings, error) from error


async def connect(
    settings: Settings, role: Role | None = None, *, command_timeout_s: float = COMMAND_TIMEOUT_S, **more: str
) -> asyncpg.Connection:
    """One connection outside any pool, as *role* or the user of DATABASE_URL; *more* are session settings."""
    try:
        connection = await asyncpg.connect(
            settings.database_url,
            ssl=tls(settings.database_url),
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=command_timeout_s,
            server_settings=session_settings(settings, role) | more,
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise unreachable(settings, error) from error
    await speak_json(connection)
    return connection


async def connect_owner(settings: Settings) -> asyncpg.Connection:
    """The matcher's own connection, which holds its advisory locks.

    Never pooled: a pool's release runs `pg_advisory_unlock_all()`. The server ends it after 5 s without a
    statement, so that a paused owner is replaced; its owner must speak at least every few seconds.
    """
    idle = str(_OWNER_IDLE_MS)
    return await connect(
        settings,
        ENGINE,
        application_name="candlemaker_owner",
        idle_session_timeout=idle,
        idle_in_transaction_session_timeout=idle,
        tcp_keepalives_idle="4",
        tcp_keepalives_interval="1",
        tcp_keepalives_count="4",
    )


@asynccontextmanager
async def tenant(pool: asyncpg.Pool, retailer: int) -> AsyncIterator[Any]:
    """A transaction that sees only *retailer*'s rows (the pool's role must be `candlemaker_tenant`)."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT set_config('candlemaker.retailer', $1, true)", str(retailer))
        yield connection


def session_settings(settings: Settings, role: Role | None) -> dict[str, str]:
    """Sent at connect, so they are the session's defaults and survive the pool's RESET ALL."""
    chosen = {
        "application_name": role or "candlemaker",
        "candlemaker.clock_offset_ms": str(settings.clock_offset_ms),
        "timezone": "UTC",
        "jit": "off",
    }
    if role is None:
        return chosen
    return chosen | {"role": role, "idle_in_transaction_session_timeout": str(_IDLE_IN_TRANSACTION_MS)}


async def speak_json(connection: Any) -> None:
    """jsonb ↔ Python values through msgspec."""
    await connection.set_type_codec(
        "jsonb",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
        schema="pg_catalog",
    )


async def _nothing_to_reset(_connection: Any) -> None:
    """In place of the pool's own statement at every release, a round trip each: nothing here outlives its transaction
    (settings are local to it, and locks are never taken on a pooled session). asyncpg still ends open transactions."""


async def require_durable(connection: Any) -> None:
    """Raise `ServerError` unless what is acknowledged survives a power cut."""
    if loose := await not_durable(connection):
        raise ServerError(f"PostgreSQL runs with {', '.join(loose)}: acknowledged data can be lost; switch it on")


async def not_durable(connection: Any) -> list[str]:
    """Settings that lose acknowledged data, as `name = value`."""
    values = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in _DURABLE}
    return [f"{name} = {value}" for name, value in values.items() if value == "off"]


def tls(url: str) -> bool | None:
    """False on loopback (saves a round trip a connection), else what the address asks for."""
    parts = urlsplit(url)
    if "sslmode" in parse_qs(parts.query) or parts.hostname not in _LOOPBACK:
        return None
    return False


def place(url: str) -> str:
    """`host:port/database` of an address (PostgreSQL's or Valkey's), without its password."""
    parts = urlsplit(url)
    usual = 6379 if parts.scheme.startswith("redis") else 5432
    return f"{parts.hostname or 'localhost'}:{parts.port or usual}{parts.path}"


def unreachable(settings: Settings, error: BaseException) -> ServerError:
    """The sentence for a connection that failed."""
    where = place(settings.database_url)
    if isinstance(error, asyncpg.InvalidParameterValueError | asyncpg.UndefinedObjectError) and "role" in str(error):
        return ServerError(f"PostgreSQL at {where} does not know our roles: run `candlemaker migrate` first")
    why = str(error) or type(error).__name__
    return ServerError(f"PostgreSQL at {where} cannot be used: {why}; check DATABASE_URL")
