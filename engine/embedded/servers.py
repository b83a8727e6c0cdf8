"""Both embedded servers under one lock."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.embedded.home import Home, open_folder, settle
from engine.embedded.lock import DirectoryLock, holder
from engine.embedded.postgres import PostgresServer
from engine.embedded.secrets import write_private
from engine.embedded.server import Server
from engine.embedded.valkey import ValkeyServer
from engine.errors import ServerError
from engine.settings import Settings


class EmbeddedServers:
    """PostgreSQL and Valkey with their data in one folder; a plain and an async context manager.

    A server that *settings* name is yours and left alone; only the missing one is started. The property
    `settings` has both addresses. Raises `ServerError` when the folder is in use or a server does not start.
    """

    def __init__(self, settings: Settings) -> None:
        self._given = settings
        self._servers: dict[str, Server] = {}
        self._lock = DirectoryLock(settings.data)

    @property
    def settings(self) -> Settings:
        """The given settings with the addresses of the running servers."""
        return addressed(self._given, {name: server.url for name, server in self._servers.items()})

    @property
    def database_url(self) -> str:
        return self.settings.database_url

    @property
    def redis_url(self) -> str:
        return self.settings.redis_url

    def __getitem__(self, name: str) -> Server:
        """`postgres` or `valkey`."""
        return self._servers[name]

    def __contains__(self, name: object) -> bool:
        return name in self._servers

    def __iter__(self) -> Iterator[Server]:
        return iter(self._servers.values())

    def dead(self) -> list[Server]:
        """Servers that should run and do not; `start()` brings each back on its port with its data."""
        return [server for server in self._servers.values() if server.pid is None]

    def start(self) -> None:
        """Start what is not given; all or nothing."""
        kinds: list[tuple[type[Server], str]] = [
            (PostgresServer, self._given.database_url),
            (ValkeyServer, self._given.redis_url),
        ]
        wanted = [kind for kind, url in kinds if not url]
        open_folder(self._given.data)
        self._lock.acquire()
        try:
            if wanted:
                self._start(wanted, settle(self._given.data))
            self._publish()
        except BaseException:
            self.stop()
            raise

    def _start(self, kinds: Iterable[type[Server]], home: Home) -> None:
        for kind in kinds:
            server = kind(home)
            self._servers[server.name] = server
            server.start()

    def stop(self) -> None:
        """Stop the servers, last started first, and give the folder back; nothing when it never was ours."""
        if not self._lock.held:
            return
        with contextlib.suppress(FileNotFoundError):
            _addresses(self._given.data).unlink()
        for server in reversed(self._servers.values()):
            server.stop()
        self._servers.clear()
        self._lock.release()

    def _publish(self) -> None:
        """Write the addresses for other commands in the same folder (`running`)."""
        urls = {name: server.url for name, server in self._servers.items()}
        write_private(_addresses(self._given.data), json.dumps(urls).encode())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        try:
            await _to_the_end(self.start)
        except asyncio.CancelledError:
            await _to_the_end(self.stop)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _to_the_end(self.stop)


async def _to_the_end(work: Callable[[], None]) -> None:
    """Run *work* in a thread. A thread cannot be cancelled, so a cancellation waits for its end."""
    job = asyncio.create_task(asyncio.to_thread(work))
    try:
        await asyncio.shield(job)
    except asyncio.CancelledError:
        await job
        raise


@asynccontextmanager
async def borrowed(settings: Settings) -> AsyncIterator[Settings]:
    """Yours, or those that run in the folder, or servers of our own for the length of the block."""
    if (settings.database_url and settings.redis_url) or holder(settings.data) is not None:
        yield running(settings)
    else:
        async with EmbeddedServers(settings) as servers:
            yield servers.settings


def running(settings: Settings) -> Settings:
    """*settings* with the addresses of the servers another process (`candlemaker up`) runs in its folder.

    Raises `ServerError` when an address is missing and nobody runs servers there.
    """
    if settings.database_url and settings.redis_url:
        return settings
    if holder(settings.data) is not None:
        with contextlib.suppress(FileNotFoundError):
            return addressed(settings, json.loads(_addresses(settings.data).read_text()))
    raise ServerError(
        f"no servers run in {settings.data}: start `candlemaker up`, or set DATABASE_URL and REDIS_URL to your own"
    )


def addressed(settings: Settings, urls: dict[str, str]) -> Settings:
    """*settings* with empty addresses taken from *urls* (`postgres`, `valkey`)."""
    return dataclasses.replace(
        settings,
        database_url=settings.database_url or urls.get("postgres", ""),
        redis_url=settings.redis_url or urls.get("valkey", ""),
    )


def _addresses(data: Path) -> Path:
    return data / "servers.json"
