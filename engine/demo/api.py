"""The demo as a client of the product's HTTP API: requests with a key or token, patience under overload.

The only file of the demo that knows pyreqwest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from engine.errors import CandlemakerError

TIMEOUT_S = 30.0
PATIENCE_S = 25.0
"""A busy or restarting API is asked again for this long."""
PAUSE_S = 0.25
STREAM_S = 3600.0
BUSY = frozenset({429, 500, 503})


GZIP = b"\x1f\x8b"
LOOK_EVERY_S = 0.1
Headers = Mapping[str, str]
JSON: Headers = MappingProxyType({"content-type": "application/json"})


class Unwelcome(CandlemakerError):
    """The API refused what the demo takes to be good; the sentence holds its problem."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status 0: no answer within the patience."""

    status: int
    body: bytes = b""

    def json(self) -> Any:
        """The decoded body."""
        return msgspec.json.decode(self.body)


@dataclass(frozen=True)
class Caller:
    """One key or token at one address."""

    client: Client
    url: str
    key: str = field(repr=False)

    async def ask(self, method: str, path: str, body: Any = None, once: str = "", headers: Headers = JSON) -> Answer:
        """The answer, whatever it says; *once* is an Idempotency-Key. Waits while the API is busy or away."""
        content = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            answer = await self._try(method, path, content, once, headers)
            if (answer.status not in BUSY and answer.status) or time.monotonic() > deadline_s:
                return answer
            await asyncio.sleep(PAUSE_S)

    async def must(self, method: str, path: str, body: Any = None, once: str = "") -> Any:
        """The decoded answer of a call that has to succeed; raises `Unwelcome` otherwise."""
        answer = await self.ask(method, path, body, once)
        if not 200 <= answer.status < 300:
            raise Unwelcome(f"{method} {path.partition('?')[0]}: {answer.status} {answer.body[:600].decode()}")
        return answer.json() if answer.body else None

    async def upload(self, kind: str, media: str, content: bytes, more: str = "") -> Any:
        """The upload once it is stored; raises `Unwelcome` with its first faults when it is not."""
        headers = {"content-type": media} | ({"content-encoding": "gzip"} if content[:2] == GZIP else {})
        answer = await self.ask("POST", f"/v1/uploads?kind={kind}{more}", content, headers=headers)
        if answer.status != 202:
            raise Unwelcome(f"upload of {kind}: {answer.status} {answer.body[:600].decode()}")
        told = answer.json()
        while told["state"] not in ("done", "rejected", "failed"):
            await asyncio.sleep(LOOK_EVERY_S)
            told = await self.must("GET", f"/v1/uploads/{told['id']}")
        if told["state"] != "done":
            why = await self.ask("GET", f"/v1/uploads/{told['id']}/rejected")
            raise Unwelcome(f"upload of {kind}: {told['state']} {why.body[:600].decode()}")
        return told

    async def _try(self, method: str, path: str, content: bytes | None, once: str, headers: Headers) -> Answer:
        request = self.client.request(method, self.url + path).bearer_auth(self.key)
        if content is not None:
            for name, value in headers.items():
                request = request.header(name, value)
            request = request.body_bytes(content)
        if once:
            request = request.header("idempotency-key", once)
        try:
            reply = await request.build().send()
            return Answer(reply.status, bytes(await reply.bytes()))
        except PyreqwestError:
            return Answer(0)

    async def events(self, last: int = 0) -> AsyncIterator[tuple[int, bytes]]:
        """(id, data) of the in-app stream after the event *last*, until it ends or breaks."""
        request = self.client.get(f"{self.url}/v1/stream").bearer_auth(self.key)
        request = request.header("last-event-id", str(last)).timeout(timedelta(seconds=STREAM_S))
        request = request.streamed_read_buffer_limit(0)  # else the first 64 KB are waited for
        try:
            async with request.build_streamed() as reply:
                reader, rest = reply.body_reader, b""
                while reply.status == 200 and (chunk := await reader.read_chunk()):
                    *blocks, rest = (rest + bytes(chunk)).split(b"\n\n")
                    for block in blocks:
                        if event := parsed(block):
                            yield event
        except PyreqwestError:
            return


def parsed(block: bytes) -> tuple[int, bytes] | None:
    """(id, data) of one server-sent event; None for a comment or a mere `retry:`."""
    fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line and not line.startswith(b":"))
    return (int(fields[b"id"]), fields[b"data"]) if b"id" in fields and b"data" in fields else None


@asynccontextmanager
async def callers() -> AsyncIterator[Client]:
    """The one connection pool of the demo; loopback is never reached through a proxy."""
    builder = ClientBuilder().no_proxy().http1_only().follow_redirects(False).user_agent("candlemaker-demo")
    async with builder.timeout(timedelta(seconds=TIMEOUT_S)).build() as client:
        yield client
