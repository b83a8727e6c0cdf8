"""The matcher's process: own partitions, read their logs, step, commit, checkpoint; drain on SIGTERM."""

from __future__ import annotations

import asyncio
import signal

import structlog

from engine import runtime, telemetry
from engine.clock import Clock
from engine.embedded.secrets import load_secrets
from engine.log.stream import Log
from engine.log.valkey import connect, load_functions
from engine.matcher.checkpoint import Checkpoints
from engine.matcher.cycle import Cycle
from engine.matcher.keeper import Keeper
from engine.matcher.ownership import Ownership
from engine.matcher.recover import Recovery
from engine.matcher.snapshots import Snapshots
from engine.postgres.pool import ENGINE, open_pool
from engine.settings import Settings
from engine.warming import warm

log = structlog.get_logger()


def main(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT."""
    telemetry.configure(settings, "matcher")
    # kernels compile or load once, before any partition is taken
    warm(lambda done, total: log.info("kernels.compiling", done=done, total=total))
    runtime.run(_run(settings))
    return 0


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    clock = Clock(settings.clock_offset_ms)
    pool = await open_pool(settings, ENGINE, min_size=2, max_size=6)
    reading, writing = connect(settings.redis_url), connect(settings.redis_url)
    try:
        await load_functions(writing)
        stream = Log(writing, offset_ms=settings.clock_offset_ms)
        checkpoints = Checkpoints(writing)
        snapshots = Snapshots(pool, settings.data / "snapshots", clock)
        recovery = Recovery(pool, stream, checkpoints, snapshots, settings)
        cycle = Cycle(pool, Log(reading, offset_ms=settings.clock_offset_ms), writing, snapshots, settings)
        cycle.coupon_key = load_secrets(settings).coupon_key
        keeper = Keeper(pool, stream, recovery, snapshots, cycle, Ownership(settings))
        runtime.settled()
        await keeper.run(stop)
    finally:
        await reading.aclose()
        await writing.aclose()
        await pool.close()
