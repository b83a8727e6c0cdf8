"""GET /v1/stream: in-app messages as server-sent events.

`id` is the message's seq, so a client that reconnects with Last-Event-ID continues where it was; one without gets all
that has not expired, and tells repeated ones by their decision.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import msgspec

from engine.http.call import Call
from engine.http.inbox import PAGE, messages
from engine.http.problems import Problem
from engine.http.sse import HEARTBEAT_S, EventStream, write
from engine.postgres.pool import LOST


async def open_stream(call: Call) -> Stream:
    """The stream of the token's customer; raise `Problem` for a Last-Event-ID that is not ours or a full house."""
    last = call.headers.get(b"last-event-id", b"0")
    if not last.isdigit() or len(last) > 18:
        raise Problem("malformed_request", "Last-Event-ID is the id of an event of this stream")
    return Stream(call, int(last))


class Stream(EventStream):
    """One open stream; ends with the token too."""

    def __init__(self, call: Call, after: int) -> None:
        super().__init__(call)
        self._after = after
        self._event = self.house.enter_context(call.services.wakes.stream(call.caller.number))

    async def _run(self, send: Any, leaving: asyncio.Task[None]) -> None:
        while not self._over(leaving):
            self._event.clear()
            sent = await self._look(send)
            rest_s = (self._caller.expires_ms - self._services.clock.now_ms()) / 1000
            if rest_s <= 0:
                return  # the token has expired: come back with a new one
            if not sent and not await self._woken(leaving, min(HEARTBEAT_S, rest_s)):
                await write(send, b": \n\n")

    async def _woken(self, leaving: asyncio.Task[None], most_s: float) -> bool:
        """Wait for a notice or the client's leaving; False when *most_s* passed without either."""
        waiting = asyncio.create_task(self._event.wait())
        done, _ = await asyncio.wait({waiting, leaving}, timeout=most_s, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return bool(done)

    async def _look(self, send: Any) -> bool:
        """Send what is new; whether there may be more."""
        try:
            async with self._services.pools.engine.acquire() as connection:
                found = await messages(connection, self._caller.number, self._after)
        except (*LOST, asyncpg.PostgresError, TimeoutError):
            return False  # the next heartbeat looks again
        for message in found:
            event = b"id: %d\nevent: message\ndata: %s\n\n" % (message.seq, msgspec.json.encode(message))
            await write(send, event)
            self._after = message.seq
        return len(found) == PAGE
