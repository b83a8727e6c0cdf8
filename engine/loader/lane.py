"""A lane takes one upload after the other: the oldest of a retailer for whom nobody works yet."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncpg
import structlog

from engine.clock import Clock
from engine.errors import ServerError
from engine.loader.kinds.kind import Order
from engine.loader.load import Job, Load
from engine.postgres import queries
from engine.postgres.pool import LOST, TENANT, connect
from engine.settings import Settings

LOOK_EVERY_S = 0.2
AWAY_S = 1.0
MOST_ATTEMPTS = 5
"""After that many deaths or faults of ours an upload is given up, with nothing of it stored."""
DAY_S = 24 * 3600.0

log = structlog.get_logger()


class Lane:
    """Uploads of at most *most_bytes*, each on this lane's own session, which is nobody else's."""

    def __init__(self, settings: Settings, pool: Any, coupon_key: bytes, most_bytes: int) -> None:
        self._settings = settings
        self._pool = pool
        self._coupon_key = coupon_key
        self._most_bytes = most_bytes
        self._session: Any = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until *stop*; an upload under way is left to the next loader, which begins it anew."""
        while not stop.is_set():
            try:
                if not await self.turn():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)
            except (*LOST, ServerError, TimeoutError, asyncpg.PostgresError) as error:
                log.warning("loader.waits", why=type(error).__name__)
                await self.close()
                await asyncio.sleep(AWAY_S)
        await self.close()

    async def close(self) -> None:
        """Give up the session, and with it the lock and whatever was staged."""
        session, self._session = self._session, None
        if session is not None:
            session.terminate()

    async def turn(self) -> bool:
        """Work on one upload; whether there was one."""
        session = await self._open()
        waiting = [row async for row in queries.uploads.next_uploads(self._pool, most_bytes=self._most_bytes)]
        for retailer in dict.fromkeys(row["retailer"] for row in waiting):
            if not await queries.uploads.try_lock(session, retailer=retailer):
                continue
            try:
                row = await queries.uploads.first_of(self._pool, retailer=retailer)
                if row is not None and row["bytes"] <= self._most_bytes:
                    await self._work(session, row)
                    return True
            finally:
                await self._unlock(session)
        return False

    async def _open(self) -> Any:
        if self._session is None or self._session.is_closed():
            self._session = await connect(
                self._settings,
                TENANT,
                command_timeout_s=DAY_S,
                application_name="candlemaker_loader",
                idle_in_transaction_session_timeout="10min",
                client_connection_check_interval="1s",  # the server soon ends what a dead loader had begun
            )
        return self._session

    async def _unlock(self, session: Any) -> None:
        if not session.is_closed():
            await queries.uploads.unlock(session)

    async def _work(self, session: Any, row: Any) -> None:
        attempts = await queries.uploads.begin_upload(self._pool, id=row["id"])
        if attempts > MOST_ATTEMPTS:
            await self._give_up(row)
            return
        order = Order(row["replaces"], row["dry_run"], row["activates"], row["caller"])
        job = Job(row["id"], row["retailer"], row["kind"], row["format"], row["gzip"], row["bytes"], order)
        clock = Clock(self._settings.clock_offset_ms)
        try:
            await Load(session, self._pool, job, clock, self._coupon_key).run()
        except (asyncio.CancelledError, *LOST):
            raise
        except Exception:
            log.exception("upload.broke", upload=str(row["id"]), kind=row["kind"], attempt=attempts)
            await self.close()
            await asyncio.sleep(AWAY_S)

    async def _give_up(self, row: Any) -> None:
        log.error("upload.given_up", upload=str(row["id"]), kind=row["kind"])
        async with self._pool.acquire() as connection, connection.transaction():
            await queries.uploads.finish_upload(
                connection,
                id=row["id"],
                state="failed",
                rows=0,
                rejected=0,
                faults=0,
                created=None,
                updated=None,
                unchanged=None,
                ended=None,
                reason="it could not be stored, for a reason on our side; nothing of it is",
            )
            await queries.uploads.drop_parts(connection, upload=row["id"])
