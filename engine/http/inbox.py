"""In-app messages: polled, or streamed as server-sent events; and the receipts that phones send back.

The rows in PostgreSQL are the messages; Valkey only wakes a waiting stream, which looks anyway at every heartbeat.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from engine.http.call import Call
from engine.http.problems import Problem
from engine.postgres import queries

PAGE = 100


class InboxMessage(msgspec.Struct, frozen=True):
    """One message. `decision` is the tag a phone shows it under, so that it never stands there twice."""

    seq: int
    decision: UUID
    coupon: UUID | None
    title: str
    body: str
    at: datetime.datetime
    expires_at: datetime.datetime


class Inbox(msgspec.Struct, frozen=True):
    """Unexpired messages after the asked seq, oldest first."""

    messages: list[InboxMessage]


class InboxQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Messages whose seq is above `after`."""

    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=PAGE)] = PAGE


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of a message on the phone."""

    decision: UUID
    kind: Literal["delivered", "shown", "opened", "dismissed"]
    channel: Literal["fcm", "inapp"]


class Recorded(msgspec.Struct, frozen=True):
    """Whether the receipt is the first of its kind; a repeated one changes nothing."""

    first: bool


async def page(call: Call) -> Inbox:
    """Messages after a seq."""
    return Inbox(await messages(call.connection, call.caller.number, call.query.after, call.query.limit))


async def messages(connection: Any, customer: int, after: int, most: int = PAGE) -> list[InboxMessage]:
    """Unexpired messages of *customer* above seq *after*, oldest first."""
    rows = queries.inbox.list_messages(connection, customer=customer, after=after, most=most)
    return [InboxMessage(**dict(row)) async for row in rows]


async def receipt(call: Call, body: Receipt) -> Recorded:
    """Record a receipt of one's own message."""
    found = await queries.inbox.insert_receipt(
        call.connection,
        decision=body.decision,
        customer=call.caller.number,
        kind=body.kind,
        channel=body.channel,
    )
    if found is None:
        raise Problem("not_found", "there is no such message")
    return Recorded(found)
