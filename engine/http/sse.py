"""Server-sent events (WHATWG HTML, "Server-sent events"): how a stream begins, beats and ends."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from typing import Any

from engine.http.call import Call, Streamed
from engine.http.tasks import put_away

HEARTBEAT_S = 15.0
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class EventStream(Streamed):
    """One open stream; ends with its source, the client, or the process."""

    def __init__(self, call: Call) -> None:
        self._services = call.services
        self._caller = call.caller
        self.house = contextlib.ExitStack()
        """Taken before the answer begins, so that a full house is still a problem and not a broken stream."""

    async def send(self, receive: Any, send: Any) -> None:
        """Send events until the stream ends."""
        with self.house:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            leaving = asyncio.create_task(_left(receive))
            try:
                await write(send, b"retry: 2000\n\n")
                await self._run(send, leaving)
            finally:
                await put_away(leaving)
            with contextlib.suppress(OSError, RuntimeError):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    @abstractmethod
    async def _run(self, send: Any, leaving: asyncio.Task[None]) -> None:
        """Write events until *leaving* is done, the process closes or there will be no more."""

    def _over(self, leaving: asyncio.Task[None]) -> bool:
        return leaving.done() or self._services.wakes.closing


async def write(send: Any, event: bytes) -> None:
    """One piece of the stream."""
    await send({"type": "http.response.body", "body": event, "more_body": True})


async def _left(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
