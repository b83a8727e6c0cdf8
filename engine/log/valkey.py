"""Connections to Valkey or Redis, and the library of functions the log keeps there."""

from __future__ import annotations

from collections.abc import Awaitable
from importlib.resources import files

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as ValkeyGone
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as ValkeySlow
from redis.typing import EncodableT

from engine.errors import Zombie

__all__ = [
    "RedisError",
    "ResponseError",
    "ValkeyGone",
    "ValkeySlow",
    "connect",
    "load_functions",
    "owned",
    "says_unloaded",
]


def connect(url: str, *, timeout_s: float = 5.0) -> Redis:
    """A client that answers bytes, fails after *timeout_s* and never retries by itself (an append repeated by
    the client would be a second entry)."""
    client = Redis.from_url(
        url,
        decode_responses=False,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    pool = client.connection_pool  # its class depends on the address: plain, TLS, a socket's path
    pool.connection_class = type("PackedConnection", (_Packed, pool.connection_class), {})
    return client


class _Packed:
    """Commands packed by hiredis: redis-py does so in its blocking client only, and an append of sixteen partitions has
    65 arguments."""

    _pack = HiredisRespSerializer().pack

    def pack_command(self, *arguments: EncodableT) -> list[bytes]:
        """In place of the connection's own."""
        packed: list[bytes] = self._pack(*arguments)  # type: ignore[arg-type]  # redis-py says list of one argument
        return packed


async def owned(call: Awaitable[object]) -> None:
    """Await a call of a function that only a partition's owner may make; raise `Zombie` when it says so."""
    try:
        await call
    except ResponseError as error:
        if str(error).startswith("ZOMBIE"):
            raise Zombie(str(error)) from error
        raise


def says_unloaded(error: Exception) -> bool:
    """Whether the server has not our functions: it came back empty."""
    return isinstance(error, ResponseError) and "unction not found" in str(error)


async def load_functions(client: Redis) -> None:
    """Put the log's functions into the server; replaces an older version."""
    source = files("engine.log").joinpath("functions.lua").read_text()
    await client.function_load(source, replace=True)
