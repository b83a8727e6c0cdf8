"""Connections to Valkey or Redis, and the library of functions the log keeps there."""

from __future__ import annotations

from importlib.resources import files

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ValkeyGone
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as ValkeySlow

__all__ = ["RedisError", "ResponseError", "ValkeyGone", "ValkeySlow", "connect", "load_functions"]


def connect(url: str, *, timeout_s: float = 5.0) -> Redis:
    """A client that answers bytes, fails after *timeout_s* and never retries by itself (an append repeated by
    the client would be a second entry)."""
    return Redis.from_url(
        url,
        decode_responses=False,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


async def load_functions(client: Redis) -> None:
    """Put the log's functions into the server; replaces an older version."""
    source = files("engine.log").joinpath("functions.lua").read_text()
    await client.function_load(source, replace=True)
