"""The loader's process: two lanes, so that a small upload does not wait behind a catalogue."""

from __future__ import annotations

import asyncio
import os
import signal

import structlog

from engine import runtime, telemetry
from engine.embedded.secrets import load_secrets
from engine.loader.lane import Lane
from engine.postgres import queries
from engine.postgres.pool import ENGINE, LOST, open_pool
from engine.settings import Settings

SMALL_BYTES = 4 << 20
ANY_BYTES = 1 << 62
NICE = 10
"""Phones are answered first."""
SWEEP_EVERY_S = 600.0

log = structlog.get_logger()


def main(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT. What is under way then is begun anew by the next loader: nothing of it is stored."""
    telemetry.configure(settings, "loader")
    os.nice(NICE)
    runtime.run(_run(settings))
    return 0


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    pool = await open_pool(settings, ENGINE, min_size=1, max_size=6)
    key = load_secrets(settings).coupon_key
    lanes = [Lane(settings, pool, key, most).run(stop) for most in (ANY_BYTES, SMALL_BYTES)]
    work = [asyncio.create_task(one) for one in (*lanes, _sweep(pool))]
    log.info("loader.ready")
    runtime.settled()
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([stopping, *work], return_when=asyncio.FIRST_COMPLETED)
    for task in work:
        task.cancel()
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    await asyncio.wait_for(pool.close(), 5)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


async def _sweep(pool: object) -> None:
    """Bodies whose receiver died."""
    while True:
        try:
            await queries.uploads.forget_stranded(pool)
        except LOST as error:
            log.warning("loader.waits", why=type(error).__name__)
        await asyncio.sleep(SWEEP_EVERY_S)
