"""The outbox in PostgreSQL: lease chunks, claim from them, record what came of it, give back."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from engine.postgres import queries
from engine.sender.claim import Claim, Refusal, claim_of
from engine.sender.lanes import Lane
from engine.sender.retry import Status

Refuse = Callable[[Claim, str, int], Refusal | None]
_OUTCOME = ("day", "chunk", "seq", "state", "reason", "provider_id", "attempts", "at")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Lease:
    """A chunk in this sender's hands. Up to *cursor* another sender may have written."""

    day: datetime.date
    chunk: int
    lane: str
    size: int
    cursor: int
    campaign: int | None
    rate_per_s: float | None


class Range(NamedTuple):
    """Places *after* (exclusive) to *upto* (inclusive) of a chunk."""

    chunk: int
    after: int
    upto: int


class Ended(NamedTuple):
    """One message's outcome. *decision* is given where the message may be the last of its decision to fail."""

    day: datetime.date
    chunk: int
    seq: int
    status: str
    reason: str
    provider_id: str
    attempts: int
    at_ms: int
    decision: UUID | None


class Waiting(NamedTuple):
    """A message that is tried again at *at_ms*."""

    day: datetime.date
    chunk: int
    seq: int
    at_ms: int
    attempts: int
    ambiguous: bool
    first_ms: int
    reason: str
    now_ms: int


class DeadDevice(NamedTuple):
    """A registration that the provider refused, and the state it gets."""

    device: int
    registration: str
    state: str
    claimed_ms: int


@dataclass
class Batch:
    """What one transaction records."""

    ended: list[Ended] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    dead: list[DeadDevice] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    released: list[tuple[int, int, int]] = field(default_factory=list)
    """(chunk, cursor, due again in epoch ms)."""

    def __bool__(self) -> bool:
        return bool(self.ended or self.waiting or self.dead or self.finished or self.released)

    @property
    def rows(self) -> int:
        """Outcomes in it."""
        return len(self.ended) + len(self.waiting)


class Outbox:
    """The messages as one sender sees them; *sender* is its name, unique among the living."""

    def __init__(self, pool: asyncpg.Pool, sender: str, lease_s: int) -> None:
        self._pool = pool
        self._sender = sender
        self._lease_s = lease_s

    async def lease(self, lane: Lane, most: int, blocked: Iterable[int] = ()) -> list[Lease]:
        """Take up to *most* due chunks of *lane*, none of the *blocked* campaigns'."""
        async with self._pool.acquire() as connection:
            rows = queries.outbox.lease_chunks(
                connection,
                channel="fcm",
                lane=lane.value,
                most=most,
                blocked=list(blocked),
                sender=self._sender,
                lease_s=self._lease_s,
            )
            return [Lease(**dict(row)) async for row in rows]

    async def left_behind(self, leases: Sequence[Lease]) -> dict[int, list[int]]:
        """Chunk → places that a sender before us passed without recording what came of them."""
        found: dict[int, list[int]] = {one.chunk: [] for one in leases}
        for day in {one.day for one in leases}:
            mine = [one for one in leases if one.day == day]
            rows = queries.outbox.left_behind(
                self._pool, day=day, chunks=[one.chunk for one in mine], cursors=[one.cursor for one in mine]
            )
            async for row in rows:
                found[row["chunk"]].append(row["seq"])
        return found

    async def claim(self, day: datetime.date, ranges: Sequence[Range], closed: Sequence[str]) -> list[Claim]:
        """Move the cursors over *ranges* and read what is in them, without registrations of *closed* platforms.

        A chunk that is not ours any more answers nothing."""
        async with self._pool.acquire() as connection:
            rows = queries.outbox.claim(
                connection,
                day=day,
                chunks=[one.chunk for one in ranges],
                after=[one.after for one in ranges],
                upto=[one.upto for one in ranges],
                sender=self._sender,
                lease_s=self._lease_s,
                closed=list(closed),
            )
            return [claim_of(row) async for row in rows]

    async def creatives(self, campaigns: Iterable[int]) -> dict[int, tuple[str, str]]:
        """Campaign → title and body."""
        rows = queries.outbox.creatives(self._pool, campaigns=list(campaigns))
        return {row["id"]: (row["title"] or "", row["body"] or "") async for row in rows}

    async def record(self, batch: Batch) -> set[int]:
        """Write *batch* in one transaction; answer its chunks that are not ours any more.

        Of those only what was sent is written, for that is true whoever holds them."""
        chunks = sorted({one.chunk for one in batch.ended} | {one.chunk for one in batch.waiting})
        async with self._pool.acquire() as connection:
            try:
                async with connection.transaction():
                    held = {row["id"] async for row in self._held(connection, chunks)}
                    await self._write(connection, batch, held)
            except asyncpg.UniqueViolationError:
                async with connection.transaction():
                    held = {row["id"] async for row in self._held(connection, chunks)}
                    await self._write(connection, batch, held, one_by_one=True)
        return set(chunks) - held

    def _held(self, connection: Any, chunks: list[int]) -> Any:
        return queries.outbox.still_held(connection, chunks=chunks, sender=self._sender)

    async def _write(self, connection: Any, batch: Batch, held: set[int], *, one_by_one: bool = False) -> None:
        waiting = [one for one in batch.waiting if one.chunk in held]
        ours = [one for one in batch.ended if one.chunk in held]
        rows = [_row(one) for one in ours] + [_requeued(one) for one in waiting]
        fresh: set[tuple[int, int]] | None = None
        if one_by_one:
            fresh = await _added(connection, rows)
            waiting = [one for one in waiting if (one.chunk, one.seq) in fresh]
        elif rows:
            await connection.copy_records_to_table("outcome", records=rows, columns=_OUTCOME)
        lost = [_row(one) for one in batch.ended if one.chunk not in held and one.status == Status.SENT]
        if lost:
            await _added(connection, lost)
        if waiting:
            await _requeue(connection, waiting)
        if batch.dead:
            await _bury(connection, batch.dead)
        if batch.finished:
            await queries.outbox.finish_chunks(connection, chunks=batch.finished, sender=self._sender)
        if batch.released:
            ids, cursors, at_ms = (list(column) for column in zip(*batch.released, strict=True))
            await queries.outbox.release_chunks(
                connection, chunks=ids, cursors=cursors, at_ms=at_ms, sender=self._sender
            )
        await give_back(connection, ours if fresh is None else [o for o in ours if (o.chunk, o.seq) in fresh])

    async def renew(self, chunks: Sequence[int]) -> None:
        """The heartbeat of chunks that wait in our hands."""
        await queries.outbox.renew_leases(self._pool, chunks=list(chunks), sender=self._sender, lease_s=self._lease_s)

    async def release(self, released: Sequence[tuple[int, int, int]]) -> None:
        """Give chunks back: (chunk, cursor, due again in epoch ms)."""
        await self.record(Batch(released=list(released)))

    async def release_abandoned(self) -> int:
        """Take back what dead senders held; how many chunks."""
        freed: int = await queries.outbox.release_abandoned(self._pool)
        return freed

    async def next_due_ms(self) -> int | None:
        """When a chunk comes due or a lease ends, whichever is first."""
        due: int | None = await queries.outbox.next_due_ms(self._pool)
        return due

    async def ensure_days(self) -> None:
        """Make the partitions of the days to come."""
        await queries.outbox.ensure_days(self._pool)

    async def stop_campaign(self, campaign: int) -> bool:
        """Kill a campaign whose payload the provider refuses; True if it was alive."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await queries.outbox.stop_campaign(connection, campaign=campaign):
                return False
            await queries.outbox.note_stop(connection, campaign=campaign)
            await queries.outbox.tell_stop(connection, campaign=campaign)
            return True

    async def deliver_inapp(self, most: int, now_ms: int, refuse: Refuse) -> tuple[int, list[int]]:
        """Lease, check, put into the inbox and settle in one transaction; (chunks taken, customers to wake)."""
        async with self._pool.acquire() as connection, connection.transaction():
            chunks = [row async for row in queries.outbox.lease_inapp(connection, most=most)]
            customers: list[int] = []
            for day in sorted({row["day"] for row in chunks}):
                mine = [row["id"] for row in chunks if row["day"] == day]
                claims = [claim_of(row) async for row in queries.outbox.read_inapp(connection, day=day, chunks=mine)]
                customers += await _show(connection, day, claims, now_ms, refuse)
            await queries.outbox.drop_inapp_chunks(connection, chunks=[row["id"] for row in chunks])
            return len(chunks), customers


async def _show(connection: Any, day: datetime.date, claims: list[Claim], now_ms: int, refuse: Refuse) -> list[int]:
    """Put what may be shown into the inbox and write every outcome; the customers to wake."""
    refused = {claim.id: why for claim in claims if (why := refuse(claim, "inapp", now_ms))}
    creatives = await _texts(connection, claims)
    shown = [claim for claim in claims if claim.id not in refused]
    rows = queries.outbox.number_inbox(
        connection,
        ids=[claim.id for claim in shown],
        decisions=[claim.decision for claim in shown],
        customers=[claim.customer for claim in shown],
        titles=[claim.title or creatives.get(claim.campaign or 0, ("", ""))[0] for claim in shown],
        bodies=[claim.body or creatives.get(claim.campaign or 0, ("", ""))[1] for claim in shown],
        expires_ms=[claim.expires_ms for claim in shown],
    )
    customers = [row["customer"] async for row in rows]
    ended = [
        Ended(
            day, claim.chunk, claim.seq, refused[claim.id].status if claim.id in refused else Status.SENT,
            refused[claim.id].reason if claim.id in refused else "", "", claim.attempts + 1, now_ms, claim.decision,
        )
        for claim in claims
    ]  # fmt: skip
    await _added(connection, [_row(one) for one in ended])
    await give_back(connection, ended)
    return customers


async def _texts(connection: Any, claims: list[Claim]) -> dict[int, tuple[str, str]]:
    untold = {claim.campaign for claim in claims if claim.title is None and claim.campaign is not None}
    if not untold:
        return {}
    rows = queries.outbox.creatives(connection, campaigns=sorted(untold))
    return {row["id"]: (row["title"] or "", row["body"] or "") async for row in rows}


async def give_back(connection: Any, ended: Sequence[Ended]) -> None:
    """Decisions of which nothing went out give back their coupon, cap and budget; last of a transaction."""
    # A sent or unknown message keeps its decision alive; only the others can be the last to fail.
    decisions = [one.decision for one in ended if one.decision and one.status not in (Status.SENT, Status.UNKNOWN)]
    if not decisions:
        return
    await queries.outbox.lock_decisions(connection, decisions=decisions)
    dead = [row async for row in queries.outbox.void_dead_coupons(connection, decisions=decisions)]
    if dead:
        payloads = [
            {
                "number": row["customer"],
                "campaign": row["campaign"],
                "decision": row["id"].hex,
                "logged_ms": row["logged_ms"],
            }
            | ({"walked": True} if row["walked"] else {})
            for row in dead
        ]
        await queries.outbox.tell_outcomes(connection, partitions=[row["p"] for row in dead], payloads=payloads)


async def _added(connection: Any, rows: Sequence[tuple[Any, ...]]) -> set[tuple[int, int]]:
    """Insert outcomes that are not there yet; (chunk, place) of those."""
    if not rows:
        return set()
    days, chunks, seqs, states, reasons, provider_ids, attempts, ats = (list(c) for c in zip(*rows, strict=True))
    found = queries.outbox.add_outcomes(
        connection,
        days=days,
        chunks=chunks,
        seqs=seqs,
        states=states,
        reasons=reasons,
        provider_ids=provider_ids,
        attempts=attempts,
        ats=ats,
    )
    return {(row["chunk"], row["seq"]) async for row in found}


async def _requeue(connection: Any, waiting: Sequence[Waiting]) -> None:
    await queries.outbox.requeue(
        connection,
        days=[one.day for one in waiting],
        chunks=[one.chunk for one in waiting],
        seqs=[one.seq for one in waiting],
        at_ms=[one.at_ms for one in waiting],
        attempts=[one.attempts for one in waiting],
        ambiguous=[one.ambiguous for one in waiting],
        first_ms=[one.first_ms for one in waiting],
    )


async def _bury(connection: Any, dead: Sequence[DeadDevice]) -> None:
    await queries.outbox.dead_devices(
        connection,
        devices=[one.device for one in dead],
        registrations=[one.registration for one in dead],
        states=[one.state for one in dead],
        claimed_ms=[one.claimed_ms for one in dead],
    )


def _row(one: Ended) -> tuple[Any, ...]:
    return (
        one.day, one.chunk, one.seq, one.status, one.reason, one.provider_id, one.attempts, _at(one.at_ms),
    )  # fmt: skip


def _requeued(one: Waiting) -> tuple[Any, ...]:
    return (one.day, one.chunk, one.seq, "requeued", one.reason, "", one.attempts, _at(one.now_ms))


@lru_cache(4096)
def _at(at_ms: int) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(milliseconds=at_ms)
