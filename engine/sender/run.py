"""The sender's process: woken by the outbox channel, it empties every lane; drains on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import structlog
from redis.asyncio import Redis

from engine import runtime, telemetry
from engine.channels.fcm import FcmChannel
from engine.clock import Clock
from engine.embedded.secrets import load_secrets
from engine.errors import ServerError
from engine.log.keys import CAMPAIGN_STARTED, INBOX_CHANNEL, OUTBOX_CHANNEL
from engine.log.valkey import RedisError, connect
from engine.postgres.pool import ENGINE, LOST, open_pool
from engine.sender.claim import refusal
from engine.sender.outbox import Outbox
from engine.sender.pacer import Pacer
from engine.sender.pushes import Pushes
from engine.sender.walk import Walks
from engine.sender.walker import Walker
from engine.settings import Settings

log = structlog.get_logger()

LOOK_S = 5.0
"""A wake-up may be lost with whoever should have sent it: look this often anyway."""
DEAF_S = 0.5
"""The same while Valkey is away and no wake-up can come."""
SHORTEST_S = 0.05
"""What comes due at about the same time is looked for once."""
WALKERS = 2
"""Parts of start campaigns issued at a time."""
DRAIN_S = 20.0
CANCEL_S = 0.25
INAPP_CHUNKS = 20
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
    pool = await open_pool(settings, ENGINE, min_size=4, max_size=10, enable_seqscan="off")
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
    """The channels of one process. Without a Firebase account there is no push channel: pushes wait and expire."""

    def __init__(self, pool: asyncpg.Pool, client: Redis, channel: FcmChannel | None, settings: Settings) -> None:
        name = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"
        self._outbox = Outbox(pool, name, settings.lease_s)
        self._client = client
        self._clock = Clock(settings.clock_offset_ms)
        self._walker = Walker(Walks(pool, load_secrets(settings).coupon_key), self._clock, self._tell)
        self._pushes: Pushes | None = None
        if channel is not None:
            self._pushes = Pushes(self._outbox, channel, Pacer(client, settings), self._clock, settings.lease_s)
        self._inapp_woken = asyncio.Event()
        self._listening = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until *stop*; then finish what is on the wire, record it, and give the rest back."""
        works: list[Callable[[], Awaitable[None]]] = [
            self._listen,
            self._inapp,
            self._clockwork,
            *[self._walker.forever] * WALKERS,
        ]
        if self._pushes is not None:
            works += self._pushes.works()
        else:
            log.warning("lane.absent", lane="fcm", why="CANDLEMAKER_FCM_SERVICE_ACCOUNT is not set")
        async with asyncio.TaskGroup() as group:  # what no work expects ends the process, to be started again
            tasks = [group.create_task(self._forever(work)) for work in works]
            await stop.wait()
            await _end(tasks)
        if self._pushes is not None:
            await self._pushes.drain(DRAIN_S)

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
            self._listening = True
            self._wake()  # what was published before we listened
            while True:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=30.0)
                if message and message["data"] == CAMPAIGN_STARTED:
                    self._walker.woken.set()
                elif message:
                    self._wake()
        finally:
            self._listening = False
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py

    async def _tell(self) -> None:
        """Something was issued: for us, and for every other sender."""
        self._wake()
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await self._client.publish(OUTBOX_CHANNEL, b"1")

    def _wake(self) -> None:
        self._inapp_woken.set()
        if self._pushes is not None:
            self._pushes.wake()

    async def _clockwork(self) -> None:
        """What no wake-up tells: a chunk that comes due, a lease whose sender died, a day that begins."""
        await self._outbox.ensure_days()
        if await self._outbox.release_abandoned():
            self._wake()
        due_ms = await self._outbox.next_due_ms()
        wait_s = LOOK_S if due_ms is None else (due_ms - self._clock.now_ms()) / 1000
        await asyncio.sleep(min(max(wait_s, SHORTEST_S), LOOK_S if self._listening else DEAF_S))
        self._wake()

    async def _inapp(self) -> None:
        self._inapp_woken.clear()
        taken, customers = await self._outbox.deliver_inapp(INAPP_CHUNKS, self._clock.now_ms(), refusal)
        for customer in customers:
            await self._client.publish(INBOX_CHANNEL, str(customer))
        if taken < INAPP_CHUNKS:  # else more is due
            await asyncio.sleep(INAPP_GATHER_S)
            await self._inapp_woken.wait()


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: a client that is cancelled in mid-command may turn that into an error of its own,
    which the task takes for a server that is away."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=CANCEL_S)
