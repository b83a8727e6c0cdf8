"""A body on its way into the database, a megabyte at a time: never whole in memory, nothing left when it breaks off."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec

from engine.http.body import CLOSE, Receive, too_large
from engine.http.call import Call
from engine.http.problems import Problem
from engine.postgres import queries
from engine.postgres.pool import tenant

PART_BYTES = 1 << 20
MOST_BYTES = 2 << 30
PART_S = 60.0
"""A megabyte arrives within this, or the rest of a body."""
MOST_WAITING = 100
MOST_WAITING_BYTES = 8 << 30


class Received(msgspec.Struct, frozen=True):
    """A whole body, stored in parts: its size and the digest of its bytes."""

    size: int
    digest: bytes


async def receive_parts(call: Call, upload: UUID, receive: Receive) -> Received:
    """Store the body as parts of *upload*, each in its own transaction; raise `Problem` 400, 408, 413, 422."""
    _require_length(call)
    hashed, size, number = hashlib.sha256(), 0, 0
    async for part in _parts(receive):
        hashed.update(part)
        size += len(part)
        if size > MOST_BYTES:
            raise too_large(MOST_BYTES)
        async with tenant(call.services.pools.tenant, call.retailer) as connection:
            await queries.uploads.insert_part(connection, upload=upload, retailer=call.retailer, n=number, content=part)
        number += 1
    if not size:
        raise Problem("malformed_request", "the body is empty")
    return Received(size, hashed.digest())


@contextlib.asynccontextmanager
async def all_or_nothing(call: Call, upload: UUID) -> AsyncIterator[None]:
    """What was received of a body that breaks off is removed, also when the caller is gone."""
    try:
        yield
    except BaseException:
        await asyncio.shield(_forget(call, upload))
        raise


async def require_room(call: Call) -> None:
    """429 when the retailer has too much in the queue already."""
    waiting = await queries.uploads.waiting(call.connection)
    if waiting["uploads"] >= MOST_WAITING or waiting["bytes"] >= MOST_WAITING_BYTES:
        why = f"{waiting['uploads']} uploads wait to be stored; at most {MOST_WAITING} may"
        raise Problem("too_many_requests", why, headers=[(b"retry-after", b"10"), CLOSE])


async def _forget(call: Call, upload: UUID) -> None:
    async with tenant(call.services.pools.tenant, call.retailer) as connection:
        await queries.uploads.forget_upload(connection, id=upload)


def _require_length(call: Call) -> None:
    declared = call.headers.get(b"content-length")
    if declared is not None and (not declared.isdigit() or len(declared) > 18):
        raise Problem("malformed_request", "Content-Length is not a number")
    if declared is not None and int(declared) > MOST_BYTES:
        raise too_large(MOST_BYTES)


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    waiting, more = bytearray(), True
    while more:
        try:
            async with asyncio.timeout(PART_S):
                while more and len(waiting) < PART_BYTES:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Problem("malformed_request", "the body ended before it was complete", headers=[CLOSE])
                    waiting += message.get("body", b"")
                    more = message.get("more_body", False)
        except TimeoutError:
            raise Problem("body_too_slow", f"a megabyte has {PART_S:.0f} s to arrive", headers=[CLOSE]) from None
        for start in range(0, len(waiting) - (PART_BYTES - 1 if more else 0), PART_BYTES):
            yield bytes(waiting[start : start + PART_BYTES])
        del waiting[: len(waiting) - len(waiting) % PART_BYTES if more else len(waiting)]
