"""One request on its way: who calls, with what, and the services it may use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis

from engine.clock import Clock
from engine.directory.directory import Directory
from engine.directory.names import Names
from engine.embedded.secrets import Secrets
from engine.http.codec import JSON, Codec
from engine.http.deadline import Deadlines
from engine.http.keys import KeyRing
from engine.http.limits import Gate, RateLimit
from engine.http.problems import Problem
from engine.http.routes import Route, Scope
from engine.http.tokens import Tokens
from engine.http.wakes import Wakes
from engine.log.writer import LogWriter
from engine.settings import Settings


@dataclass(frozen=True)
class Pools:
    """Connections to PostgreSQL by role. The reserve is for redemptions and consents alone."""

    engine: Any
    tenant: Any
    engine_reserve: Any
    tenant_reserve: Any


@dataclass
class Services:
    """What requests stand on; made by `engine.http.services`, one a process."""

    settings: Settings
    clock: Clock
    pools: Pools
    valkey: Redis
    writer: LogWriter
    directory: Directory
    names: Names
    wakes: Wakes
    keys: KeyRing
    tokens: Tokens
    secrets: Secrets
    key_rate: RateLimit
    customer_rate: RateLimit
    guess_rate: RateLimit
    gate: Gate
    reserve_gate: Gate
    intake_gate: Gate
    subscriber_gate: Gate
    deadlines: Deadlines = field(default_factory=Deadlines)
    ready: bool = True


class Caller(Struct, frozen=True):
    """Who calls. `name` is what audits and idempotency keys say: `key:7` or `customer:112`."""

    scope: Scope
    name: str
    retailer: int | None = None
    number: int = -1
    expires_ms: int = 0


class Call(Struct):
    """One request, authorised and decoded. `retailer` is set where the route works on one."""

    services: Services
    route: Route
    caller: Caller
    now_ms: int
    params: dict[str, Any]
    query: Any
    headers: dict[bytes, bytes]
    scope: Any
    retailer: int = 0
    connection: Any = None
    single: bool = False
    codec: Codec = JSON
    after_commit: list[Callable[[], Awaitable[None]]] = []  # msgspec copies it


class Reply(Struct, frozen=True):
    """An answer ready to be sent."""

    status: int
    body: bytes = b""
    media: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Streamed(ABC):
    """An answer that is sent piece by piece."""

    status = 200

    @abstractmethod
    async def send(self, receive: Any, send: Any) -> None:
        """Send all of it, start and end included."""


def retailer_of(caller: Caller, named: int | None) -> int:
    """The retailer that a call works on: the key's own, or the one an admin or app names by `?retailer=`."""
    if caller.retailer is not None:
        if named not in (None, caller.retailer):
            raise Problem("forbidden", "the key belongs to another retailer")
        return caller.retailer
    if named is None:
        raise Problem("invalid", "name the retailer by ?retailer=")
    return named
