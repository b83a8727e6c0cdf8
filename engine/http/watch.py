"""Listens on Valkey for what other processes change: consents (`directory`) and new messages (`inbox`).

Publish and subscribe has no memory: while the connection is away, notices are lost. So its loss empties the directory
and wakes every stream, and a ping each 100 ms finds a wire that is silently dead.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from redis.asyncio import Redis

from engine.directory.directory import Directory
from engine.http.tasks import put_away
from engine.http.wakes import Wakes
from engine.log.keys import DIRECTORY_CHANNEL, INBOX_CHANNEL
from engine.log.valkey import RedisError

PING_S = 0.1
RETRY_S = 0.2
DEAD_S = 2.0
"""A connection silent for this long is given up. (The directory distrusts it much earlier.)"""

log = structlog.get_logger()


class Watch:
    """One connection a process; `run` until `close`."""

    def __init__(self, client: Redis, directory: Directory, wakes: Wakes) -> None:
        self._client = client
        self._directory = directory
        self._wakes = wakes
        self._closing = False

    async def close(self, task: asyncio.Task[None]) -> None:
        """End *task*, which runs us, at the next pong: a connection cancelled in mid-connect is never closed."""
        self._closing = True
        await asyncio.wait({task}, timeout=DEAD_S)
        await put_away(task)

    async def run(self) -> None:
        """Subscribe, listen, and begin again whenever the wire breaks."""
        while not self._closing:
            try:
                await self._listen()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("watch.lost", error=type(error).__name__)
            self._lost()
            if not self._closing:
                await asyncio.sleep(RETRY_S)

    def _lost(self) -> None:
        self._directory.deaf()
        self._wakes.everybody()

    async def _listen(self) -> None:
        async with self._client.pubsub() as pubsub:
            await pubsub.subscribe(DIRECTORY_CHANNEL, INBOX_CHANNEL)
            pinging = asyncio.create_task(self._ping(pubsub))
            try:
                while not self._closing:
                    async with asyncio.timeout(DEAD_S):
                        self._take(await pubsub.get_message(timeout=None))
            finally:
                await put_away(pinging)

    async def _ping(self, pubsub: Any) -> None:
        while True:
            await asyncio.sleep(PING_S)
            await pubsub.ping()

    def _take(self, message: dict[str, Any] | None) -> None:
        """Notices come in order, so whatever arrives vouches for all that was sent before it."""
        if message is None:
            return
        if message["type"] == "message":
            text = message["data"].decode(errors="replace")
            if message["channel"] == DIRECTORY_CHANNEL.encode():
                self._directory.forget(text)
            else:
                self._wakes.somebody(text)
        elif message["type"] == "subscribe":
            self._wakes.everybody()  # what was published before we listened
        self._directory.heard()
