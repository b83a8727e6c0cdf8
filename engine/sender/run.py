"""The sender's process: woken by the outbox channel, it drains every lane; drains on SIGTERM."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Awaitable, Callable

import asyncpg
import structlog
from redis.asyncio import Redis

from engine import runtime, telemetry
from engine.channels.fcm import FcmChannel
from engine.clock import Clock
from engine.errors import ServerError
from engine.log.keys import INBOX_CHANNEL, OUTBOX_CHANNEL
from engine.log.valkey import RedisError, connect
from engine.postgres.pool import ENGINE, LOST, open_pool
from engine.sender.claim import refusal
from engine.sender.lane import GATHER_S, Lane
from engine.sender.outbox import Outbox
from engine.settings import Settings

log = structlog.get_logger()

POLL_S = 0.5
"""Retries come due without a wake-up, and Valkey may lose one: look this often anyway."""
DRAIN_S = 20.0
INAPP_PAGE = 500
INAPP_GATHER_S = 0.02
"""What a stream shows need not leave the moment it is due: the rows of many decisions share a transaction."""

_AWAY = (*LOST, TimeoutError, asyncpg.PostgresError, RedisError, ServerError)


def main(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT."""
    telemetry.configure(settings, "sender")
    runtime.run(_run(settings))
    return 0


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    # A queue is read by its index: what is due is a handful, whatever statistics say of the table.
    pool = await open_pool(settings, ENGINE, min_size=2, max_size=6, enable_seqscan="off")
    client = connect(settings.redis_url)
    channel = FcmChannel.open(settings) if settings.fcm_service_account else None
    try:
        await Sender(pool, client, channel, settings).run(stop)
    finally:
        if channel is not None:
            await channel.close()
        await client.aclose()
        await pool.close()


class Sender:
    """The lanes of one process. Without a Firebase account there is no push lane: push messages wait and expire."""

    def __init__(self, pool: asyncpg.Pool, client: Redis, channel: FcmChannel | None, settings: Settings) -> None:
        name = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"
        self._outbox = Outbox(pool, name, settings.lease_s)
        self._client = client
        self._clock = Clock(settings.clock_offset_ms)
        self._push = Lane(self._outbox, channel, self._clock) if channel is not None else None
        self._woken = {"inapp": asyncio.Event(), "push": asyncio.Event()}

    async def run(self, stop: asyncio.Event) -> None:
        """Until *stop*; then finish what is in flight and record it."""
        works = [self._forever(self._listen), self._forever(self._inapp), self._forever(self._abandoned)]
        if self._push is not None:
            works += [self._forever(self._pull), self._forever(self._record)]
        else:
            log.warning("lane.absent", lane="fcm", why="CANDLEMAKER_FCM_SERVICE_ACCOUNT is not set")
        async with asyncio.TaskGroup() as group:  # what no work expects ends the process, to be started again
            tasks = [group.create_task(work) for work in works]
            await stop.wait()
            for task in tasks:
                task.cancel()
        if self._push is not None:
            await self._push.land(DRAIN_S)
            await self._push.record()

    async def _forever(self, work: Callable[[], Awaitable[None]]) -> None:
        """Repeat *work*; a server that is away is waited for."""
        while True:
            try:
                await work()
            except _AWAY as error:
                log.warning("sender.waits", work=work.__name__, why=type(error).__name__)
                await asyncio.sleep(0.5)

    async def _listen(self) -> None:
        """Turn wake-ups into events, until the connection breaks."""
        pubsub = self._client.pubsub()
        try:
            await pubsub.subscribe(OUTBOX_CHANNEL)
            while True:
                if await pubsub.get_message(ignore_subscribe_messages=True, timeout=30.0):
                    self._wake()
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py

    def _wake(self) -> None:
        for event in self._woken.values():
            event.set()

    async def _woken_or_due(self, lane: str) -> None:
        event = self._woken[lane]
        try:
            async with asyncio.timeout(POLL_S):
                await event.wait()
        except TimeoutError:
            pass
        event.clear()

    async def _inapp(self) -> None:
        claimed, customers = await self._outbox.deliver_inapp(INAPP_PAGE, self._clock.now_ms(), refusal)
        for customer in customers:
            await self._client.publish(INBOX_CHANNEL, str(customer))
        if claimed < INAPP_PAGE:  # else more is due
            await asyncio.sleep(INAPP_GATHER_S)
            await self._woken_or_due("inapp")

    async def _pull(self) -> None:
        assert self._push is not None
        await self._push.pull()
        # Either all that is due was claimed, or every slot is taken.
        await (self._woken_or_due("push") if self._push.free > 0 else asyncio.sleep(GATHER_S))

    async def _record(self) -> None:
        assert self._push is not None
        if self._push.unrecorded:
            await self._push.record()
        await asyncio.sleep(GATHER_S)

    async def _abandoned(self) -> None:
        await self._outbox.release_abandoned()
        await asyncio.sleep(1.0)
