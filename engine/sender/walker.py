"""The walker: issues start campaigns as far ahead as the sending needs, and sleeps until the next one is due."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import asyncpg

from engine.clock import Clock
from engine.sender.walk import Walks

LOOK_S = 5.0
"""A wake-up may be lost: look for campaigns that have become live this often anyway."""
FULL_S = 0.05
"""Enough is issued ahead: the sending takes so long for a part of it."""


class Walker:
    """*wake* tells the senders that there is something to send."""

    def __init__(self, walks: Walks, clock: Clock, wake: Callable[[], Awaitable[None]]) -> None:
        self._walks = walks
        self._clock = clock
        self._wake = wake
        self.woken = asyncio.Event()

    async def forever(self) -> None:
        """Walk until cancelled; raises what the servers raise."""
        while True:
            self.woken.clear()
            await self._walks.plan(self._clock.now_ms())
            while await self._stepped():
                pass
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(await self._wait_s()):
                    await self.woken.wait()

    async def _wait_s(self) -> float:
        if self._walks.full:
            return FULL_S
        due_ms = await self._walks.next_due_ms()
        wait_s = LOOK_S if due_ms is None else (due_ms - self._clock.now_ms()) / 1000
        return min(LOOK_S, max(FULL_S, wait_s))

    async def _stepped(self) -> bool:
        try:
            issued = await self._walks.step(self._clock.now_ms())
        except asyncpg.CheckViolationError:
            return True  # another walker took the last of the budget: look again
        if issued:
            await self._wake()
        return issued is not None
