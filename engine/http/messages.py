"""Transactional messages: what an app has to tell one customer now; they go before every offer and need no consent to
marketing.
"""

from __future__ import annotations

import contextlib
from typing import Annotated
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta

from engine.channels.fcm_payload import PayloadFault, room
from engine.http.call import Call
from engine.http.problems import Fault, Problem
from engine.log.keys import OUTBOX_CHANNEL
from engine.log.valkey import RedisError
from engine.postgres import queries

Key = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
Value = Annotated[str, Meta(max_length=1_000)]


class NewMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One push to one customer's newest device. `data` is handed to the app as it is."""

    title: Annotated[str, Meta(min_length=1, max_length=120)]
    body: Annotated[str, Meta(max_length=400)] = ""
    data: Annotated[dict[Key, Value], Meta(max_length=20)] = {}
    valid_for_s: Annotated[int, Meta(ge=1, le=86_400, description="Not sent, and not shown, any later.")] = 3_600

    def __repr__(self) -> str:
        return "NewMessage()"


class QueuedMessage(msgspec.Struct, frozen=True):
    """The message's id, which is also its display tag."""

    id: UUID


async def post(call: Call, body: NewMessage) -> QueuedMessage:
    """Put one push into the outbox; it is on its way when a sender is woken, milliseconds later."""
    _require_fit(body)
    row = await queries.customers.get_customer(call.connection, id=call.params["customer"])
    if row is None:
        raise Problem("unknown_customer")
    message = QueuedMessage(uuid4())
    await queries.outbox.queue_transactional(
        call.connection,
        id=message.id,
        customer=row["number"],
        title=body.title,
        body=body.body,
        data=body.data,
        valid_for_s=body.valid_for_s,
    )

    async def wake() -> None:
        with contextlib.suppress(RedisError, OSError, TimeoutError):  # a sender looks anyway, seconds later
            await call.services.valkey.publish(OUTBOX_CHANNEL, b"1")

    call.after_commit.append(wake)
    return message


def _require_fit(body: NewMessage) -> None:
    try:
        left = room(body.title, body.body, body.data) - sum(len(value.encode()) for value in body.data.values())
    except (PayloadFault, UnicodeEncodeError) as error:
        raise Problem("invalid", errors=[Fault("value", str(error), "data")]) from None
    if left < 0:
        raise Problem("invalid", errors=[Fault("value", f"{-left} bytes more than a push can carry", "data")])
