"""One upload, from its stored parts to rows in their tables: staged while it is checked, stored by one transaction.

What has a fault, or is a dry run, leaves nothing but its report. Whoever dies on the way leaves the upload as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from engine.clock import Clock
from engine.http.problems import Fault
from engine.loader.body import Body
from engine.loader.chunks import KINDS, PRICES, REPEATED, Chunk, Source, chunks
from engine.loader.faults import MOST_KEPT, Faults
from engine.loader.kinds import prices
from engine.loader.kinds.kind import Counts, Order
from engine.loader.kinds.price_rows import COPY_HEAD, COPY_TAIL
from engine.loader.known import Known, read_known
from engine.postgres import queries

PROGRESS_S = 0.5
AHEAD = 4
"""Chunks that may wait for the database."""
_PIECE = 256 << 10

log = structlog.get_logger()


@dataclass(frozen=True)
class Job:
    """An upload that is this loader's for now."""

    id: UUID
    retailer: int
    source_kind: str
    format: str
    gzip: bool
    bytes: int
    order: Order


class _Refused(Exception):
    """Ends the transaction that stores: nothing of it is kept."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__()
        self.faults = faults


class _OnlyTried(Exception):
    """Ends the transaction of a dry run."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts


class Load:
    """*session* acts as the tenant and holds the retailer's lock; *pool* as the engine."""

    def __init__(self, session: Any, pool: Any, job: Job, clock: Clock, coupon_key: bytes) -> None:
        self._session = session
        self._pool = pool
        self._job = job
        self._clock = clock
        self._coupon_key = coupon_key
        self._loop = asyncio.get_running_loop()
        self._body = Body(self._part, job.gzip)
        self._faults = Faults()
        self._rows = 0
        self._stop = False

    async def run(self) -> str:
        """The state it ends in."""
        began_s = time.monotonic()
        await queries.loader.make_staged(self._session)
        known = await self._known()
        async with self._telling():
            await self._stage(known)
            staged_s = round(time.monotonic() - began_s, 3)
            await self._find_repeated()
            counts = None if self._faults else await self._store(known)
        state = "rejected" if self._faults else "done"
        if counts is None or self._job.order.dry_run:
            await self._report(state, counts)
        await queries.loader.drop_staged(self._session)
        took_s = round(time.monotonic() - began_s, 3)
        log.info(
            "upload.ended", kind=self._job.source_kind, state=state, rows=self._rows, staged_s=staged_s, took_s=took_s
        )
        return state

    # ── read and stage ───────────────────────────────────────────────────────────────────────────────────────

    async def _known(self) -> Known:
        async with self._as_retailer():
            return await read_known(self._session, self._job.retailer, self._clock.now_ms(), self._coupon_key)

    async def _stage(self, known: Known) -> None:
        """A thread reads and checks while the rows before are copied."""
        waiting: asyncio.Queue[Chunk | None] = asyncio.Queue(AHEAD)
        source = Source(self._job.source_kind, self._job.format, self._body)
        reading = asyncio.create_task(asyncio.to_thread(self._read, chunks(source, known), waiting))
        table = "staged_price" if self._job.source_kind == PRICES else "staged"
        try:
            await self._session.copy_to_table(
                table, source=self._copied(waiting, reading), format="binary", timeout=24 * 3600
            )
        finally:
            await self._end(reading, waiting)

    def _read(self, found: Iterator[Chunk], waiting: asyncio.Queue[Chunk | None]) -> None:
        """In the thread."""
        try:
            for chunk in found:
                if self._stop:
                    return
                asyncio.run_coroutine_threadsafe(waiting.put(chunk), self._loop).result()
        finally:
            asyncio.run_coroutine_threadsafe(waiting.put(None), self._loop).result()

    async def _copied(self, waiting: asyncio.Queue[Chunk | None], reading: asyncio.Task[None]) -> AsyncIterator[bytes]:
        yield COPY_HEAD
        while (chunk := await waiting.get()) is not None:
            self._rows += chunk.rows
            self._faults.add(chunk.faults)
            for start in range(0, len(chunk.copy), _PIECE):
                yield chunk.copy[start : start + _PIECE]
        await reading  # what it failed with is ours
        yield COPY_TAIL

    async def _end(self, reading: asyncio.Task[None], waiting: asyncio.Queue[Chunk | None]) -> None:
        """Wait for the thread, which may be waiting for us."""
        self._stop = True
        while not reading.done():
            with contextlib.suppress(asyncio.QueueEmpty):
                waiting.get_nowait()
            await asyncio.sleep(0.001)
        with contextlib.suppress(Exception):
            await reading

    def _part(self, number: int) -> bytes | None:
        """In the thread."""
        asked = asyncio.run_coroutine_threadsafe(self._fetch(number), self._loop)
        return asked.result()

    async def _fetch(self, number: int) -> bytes | None:
        part: bytes | None = await queries.uploads.get_part(self._pool, upload=self._job.id, n=number)
        return part

    async def _find_repeated(self) -> None:
        """Rows that an earlier one says again, told by the staged rows themselves."""
        stands = self._faults.drop(REPEATED)
        if self._job.source_kind == PRICES and not stands:
            return
        if self._job.source_kind == PRICES:
            rows, what = queries.loader.repeated_prices, "the same product and store stand"
        else:
            rows, what = queries.loader.repeated_rows, "the same code stands"
        found = [row async for row in rows(self._session, most=MOST_KEPT)]
        for row in found:
            self._faults.add([Fault("repeated", f"{what} in row {row['first']} already", "code", row["row"])])
        if found:
            self._faults.count(found[0]["all_of_them"] - len(found))

    # ── store ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _store(self, known: Known) -> Counts | None:
        """All of it in one transaction, with the upload's own end; None when it was refused after all."""
        await queries.loader.analyse_staged(self._session)
        try:
            async with self._as_retailer():
                found = await self._merge(known)
                if isinstance(found, list):
                    raise _Refused(found)
                if self._job.order.dry_run:
                    raise _OnlyTried(found)
                await self._finish("done", found)
        except _Refused as refused:
            self._faults.add(refused.faults)
            return None
        except _OnlyTried as tried:
            return tried.counts
        return found

    async def _merge(self, known: Known) -> list[Fault] | Counts:
        if self._job.source_kind == PRICES:
            return await prices.store(self._session, known, self._job.order)
        return await KINDS[self._job.source_kind].store(self._session, known, self._job.order)

    async def _report(self, state: str, counts: Counts | None) -> None:
        async with self._as_retailer():
            faults = self._faults.listed()
            for start in range(0, len(faults), 5_000):
                await self._insert_faults(start, faults[start : start + 5_000])
            await self._finish(state, counts)

    async def _insert_faults(self, first: int, faults: list[Fault]) -> None:
        await queries.uploads.insert_faults(
            self._session,
            upload=self._job.id,
            retailer=self._job.retailer,
            numbers=list(range(first, first + len(faults))),
            rows=[fault.row for fault in faults],
            columns=[_storable(fault.column) for fault in faults],
            codes=[fault.code for fault in faults],
            details=[_storable(fault.detail) for fault in faults],
        )

    async def _finish(self, state: str, counts: Counts | None) -> None:
        done = counts._asdict() if counts is not None else dict.fromkeys(Counts._fields)
        await queries.uploads.finish_upload(
            self._session,
            id=self._job.id,
            state=state,
            rows=self._rows,
            rejected=self._faults.rejected,
            faults=self._faults.found,
            reason=None,
            **done,
        )
        await queries.uploads.drop_parts(self._session, upload=self._job.id)

    @contextlib.asynccontextmanager
    async def _as_retailer(self) -> AsyncIterator[None]:
        async with self._session.transaction():
            await self._session.execute("SELECT set_config('candlemaker.retailer', $1, true)", str(self._job.retailer))
            yield

    @contextlib.asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        """Say how far it is, twice a second."""
        telling = asyncio.create_task(self._tell())
        try:
            yield
        finally:
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await telling

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            await queries.uploads.note_progress(
                self._pool,
                id=self._job.id,
                bytes_read=min(self._body.bytes_read, self._job.bytes),
                rows=self._rows,
                rejected=self._faults.rejected,
            )


def _storable(text: str | None) -> str | None:
    """What a row held may stand in its fault; PostgreSQL takes no NUL and no half of a character."""
    if text is None:
        return None
    return text.replace("\0", "�").encode("utf-8", "replace").decode()[:1000]
