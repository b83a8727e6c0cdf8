"""`candlemaker up` in a terminal: what runs where, and signals."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys

import structlog

from engine.postgres.pool import place
from engine.settings import Settings
from engine.supervise import Stack

log = structlog.get_logger()


async def up(settings: Settings) -> int:
    """Run until SIGTERM, SIGINT or SIGHUP; a second one hurries."""
    stack = Stack(settings)
    with contextlib.suppress(asyncio.CancelledError):
        _listen(stack)
        async with stack:
            sys.stdout.write(_welcome(stack))
            sys.stdout.flush()
            await asyncio.Event().wait()
    log.info("up.stopped")
    return 0


def _listen(stack: Stack) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    heard: list[signal.Signals] = []

    def hear(number: signal.Signals) -> None:
        heard.append(number)
        log.info("up.stopping", signal=number.name, hurry=len(heard) > 1)
        if len(heard) == 1:
            task.cancel()  # the stack drains on its way out
        else:
            stack.hurry()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # SIGHUP: the terminal was closed
        loop.add_signal_handler(number, hear, number)


def _welcome(stack: Stack) -> str:
    settings = stack.settings
    return (
        "Candlemaker is up.\n"
        f"  API         {stack.url}\n"
        f"  admin key   {settings.data / 'admin.key'}\n"
        f"  PostgreSQL  {place(settings.database_url)}\n"
        f"  Valkey      {place(settings.redis_url)}\n"
        "Ctrl-C stops it and drains; a second Ctrl-C hurries.\n"
    )
