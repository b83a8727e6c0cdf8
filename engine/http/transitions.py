"""GET /v1/transitions: who entered, dwelt in or left which fence, as server-sent events for the app's backend.

An event carries what one turn of a matcher found. Its `id` resumes the stream: with Last-Event-ID everything behind it
comes, as long as it is kept; what was lost between is told by an event `gap`. Told at least once, of customers who
consent to `location` at the moment of sending; whoever reads slowly is waited for, and meanwhile the oldest go.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final

import asyncpg
import msgspec
import numpy as np

from engine.directory.consents import LOCATION
from engine.http.authorise import authorise
from engine.http.call import Call
from engine.http.problems import Problem
from engine.http.sse import HEARTBEAT_S, EventStream, write
from engine.log.transitions import MOST_ROWS, Batch, Told, TransitionReader
from engine.log.valkey import RedisError
from engine.postgres.pool import LOST
from geo.records import Kind, Reason

MOST_AT_ONCE: Final = 16
"""Entries read together."""
BLOCK_MS: Final = 1_000
AGAIN_S: Final = 0.5
ASK_S: Final = 5.0
"""How often the key is looked at again."""
Written = Annotated[
    str, msgspec.Meta(description="RFC 3339 with an offset.", extra_json_schema={"format": "date-time"})
]
_ID = re.compile(rb"[0-9]{1,18}-[0-9]{1,18}")
_KINDS: Final = {int(kind): kind.name.lower() for kind in Kind}
_REASONS: Final = {int(reason): reason.name.lower() if reason else None for reason in Reason}


class Transition(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened to one customer at one fence; no position.

    (customer, fence, kind, since, at) name it: one that comes twice is the same.
    """

    customer: str
    kind: str
    """`enter`, `exit`, `dwell`, …"""
    fence: str
    store: int
    since: Written
    """Start of the visit."""
    at: Written
    dwell_s: int = 0
    reason: str | None = None
    """Why the visit ended."""
    initial: bool = False
    """The first fix ever, or since a reset, was inside already."""


class Transitions(msgspec.Struct, frozen=True):
    """Data of one event, in the order in which they were found."""

    transitions: list[Transition]


async def open_transitions(call: Call) -> TransitionStream:
    """The stream from now on, or from behind Last-Event-ID; `Problem` for an id that is not ours or a full house."""
    last = call.headers.get(b"last-event-id")
    if last is not None and not _ID.fullmatch(last):
        raise Problem("malformed_request", "Last-Event-ID is the id of an event of this stream")
    reader = TransitionReader(call.services.valkey)
    stream = TransitionStream(call, reader)
    stream.house.enter_context(call.services.subscriber_gate)
    try:
        await stream.begin_at(last.decode() if last is not None else None)
    except BaseException:
        stream.house.close()
        raise
    return stream


class TransitionStream(EventStream):
    """One subscriber."""

    def __init__(self, call: Call, reader: TransitionReader) -> None:
        super().__init__(call)
        self._call = call
        self._reader = reader
        self._id = ""
        self._total = 0
        self._gap = False

    async def begin_at(self, id: str | None) -> None:
        """Find the place; one that is not kept any more begins with a gap, at the oldest there is."""
        place = await self._reader.newest() if id is None else await self._reader.at(id)
        self._gap = place is None
        self._id, self._total = place if place is not None else await self._reader.oldest()

    async def _run(self, send: Any, leaving: asyncio.Task[None]) -> None:
        spoke_s = asked_s = time.monotonic()
        while not self._over(leaving):
            event, now_s = await self._event(), time.monotonic()
            if event or now_s - spoke_s > HEARTBEAT_S:
                await write(send, event or b": \n\n")
                spoke_s = now_s
            if now_s - asked_s > ASK_S:
                if not await self._may_still():
                    return
                asked_s = now_s

    async def _may_still(self) -> bool:
        """A stream outlives its request, but not its key."""
        call = self._call
        try:
            await authorise(call.services, call.route, call.headers, time.monotonic())
        except Problem as problem:
            return problem.kind not in ("unauthorised", "forbidden")
        return True

    async def _event(self) -> bytes:
        """What comes next, waiting a moment for it; nothing too while Valkey or PostgreSQL is away."""
        try:
            batches = await self._reader.behind(self._id, count=MOST_AT_ONCE, block_ms=BLOCK_MS)
            if self._gap or (batches and batches[0].began != self._total):  # trimmed meanwhile, or another server
                return self._told_gap(batches)
            if not batches:
                return b""
            batches = _first(batches)
            data = msgspec.json.encode(Transitions(await self._told(np.concatenate([one.rows for one in batches]))))
        except (RedisError, *LOST, asyncpg.PostgresError, TimeoutError):
            await asyncio.sleep(AGAIN_S)
            return b""
        self._id, self._total = batches[-1].id, batches[-1].total
        return b"id: %s\nevent: transitions\ndata: %s\n\n" % (self._id.encode(), data)

    def _told_gap(self, batches: Sequence[Batch]) -> bytes:
        """From here on with what there is."""
        self._gap = False
        if batches:
            self._total = batches[0].began
        return b"event: gap\ndata: {}\n\n"

    async def _told(self, rows: Told) -> list[Transition]:
        """As the wire has them, of those customers alone who are there and consent now."""
        names = await self._services.names.look_up(rows["number"])
        entries = await self._services.directory.look_up([name or "" for name in names])
        allowed = (entries >= 0) & (entries & LOCATION != 0)
        if not allowed.all():
            rows, names = rows[allowed], [name for name, kept in zip(names, allowed.tolist(), strict=True) if kept]
        return [
            Transition(name or "", _KINDS[kind], str(fence), store, since, at, dwell_s, _REASONS[reason], initial)
            for name, (kind, fence, store, dwell_s, reason, initial), since, at in zip(
                names,
                zip(*(rows[name].tolist() for name in ("kind", "fence", "store", "dwell_s", "reason", "initial")),
                    strict=True),
                _instants(rows["since_ms"]),
                _instants(rows["at_ms"]),
                strict=True,
            )
        ]  # fmt: skip


def _first(batches: list[Batch]) -> list[Batch]:
    """As many as make one event: full ones go out one by one, so that nobody's unread event is large."""
    rows = 0
    for place, batch in enumerate(batches):
        rows += len(batch.rows)
        if place and rows > MOST_ROWS:
            return batches[:place]
    return batches


def _instants(at_ms: Any) -> list[str]:
    """RFC 3339 in UTC, to the millisecond."""
    texts: list[str] = np.datetime_as_string(at_ms.astype("datetime64[ms]"), timezone="UTC").tolist()
    return texts
