"""The slots: as many tasks as requests may fly at once, each taking the next message of the first lane that has one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from engine.sender.claim import Claim
from engine.sender.lanes import LANES, Lane, slots

AHEAD_S = 0.12
"""Claimed messages that wait for a slot are worth so much time: less than the 250 ms that a claim is fresh."""
MOST_AHEAD = 1000


class Ready(NamedTuple):
    """A claim that may go, and when its statement began (monotonic seconds)."""

    claim: Claim
    claimed_s: float


class Slots:
    """*fly* sends one message and never raises for what the provider does."""

    def __init__(self, fly: Callable[[Lane, Ready], Awaitable[None]], limit: int) -> None:
        self._fly = fly
        self._loop = asyncio.get_running_loop()  # asking for it is a system call a message
        self._limit = limit
        self._may = _may(limit)
        self._ready: dict[Lane, deque[Ready]] = {lane: deque() for lane in LANES}
        self._low = dict.fromkeys(LANES, 0)
        self._wanted = {lane: asyncio.Event() for lane in LANES}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._landed = asyncio.Event()
        self._landed.set()
        self._failed: BaseException | None = None
        self.flying = 0
        self.full = False
        """More was ready than slots were free, since this was last set to False."""
        self.rate = dict.fromkeys(LANES, 0.0)
        """Messages a second that each lane flew lately; what is claimed ahead goes by it."""

    def __len__(self) -> int:
        return sum(map(len, self._ready.values()))

    def check(self) -> None:
        """Raise what a slot did not expect; it ends the process, and its messages come back as uncertain."""
        if self._failed is not None:
            raise self._failed

    def set_limit(self, limit: int) -> None:
        """From now on; slots above it end with their message."""
        self._limit = limit
        self._may = _may(limit)
        if limit < len(self._tasks):
            self._rouse(len(self._idle))

    def push(self, lane: Lane, ready: Iterable[Ready]) -> None:
        """These may go now."""
        queue = self._ready[lane]
        queue.extend(ready)
        self._low[lane] = len(queue) * 2 // 3
        self._rouse(len(queue))
        while len(self._tasks) < min(self._limit, self.flying + len(self)):
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._done)
        self.full = self.full or self.flying + len(self) > slots(self._limit, lane)

    def room(self, lane: Lane) -> int:
        """How many more messages of *lane* should be claimed now."""
        free = max(0, slots(self._limit, lane) - self.flying)
        target = min(MOST_AHEAD, free + round(self.rate[lane] * AHEAD_S) + 1)
        have = len(self._ready[lane])
        return target - have if have * 3 <= target * 2 else 0

    async def wanted(self, lane: Lane) -> None:
        """Wait until more of *lane* could be claimed."""
        self._wanted[lane].clear()
        if not self.room(lane):
            await self._wanted[lane].wait()

    def drain(self, lanes: Iterable[Lane] = LANES) -> dict[Lane, list[Claim]]:
        """Take out what is ready and did not go."""
        found = {lane: [one.claim for one in self._ready[lane]] for lane in lanes}
        for lane in found:
            self._ready[lane].clear()
        return found

    async def land(self, deadline_s: float) -> None:
        """Wait until nothing flies any more, at most *deadline_s*; nothing else may be pushed."""
        async with asyncio.timeout(deadline_s):
            await self._landed.wait()

    def close(self) -> None:
        """End every slot."""
        for task in self._tasks:
            task.cancel()

    async def _work(self) -> None:
        while len(self._tasks) <= self._limit:
            lane, ready = self._take()
            if ready is None:
                await self._rest()
                continue
            self.flying += 1
            self._landed.clear()
            try:
                await self._fly(lane, ready)
            finally:
                self.flying -= 1
                if not self.flying:
                    self._landed.set()

    def _take(self) -> tuple[Lane, Ready | None]:
        for lane, queue in self._ready.items():
            if len(queue) <= self._low[lane]:
                self._wanted[lane].set()
            if queue and self.flying < self._may[lane]:
                return lane, queue.popleft()
        return Lane.BULK, None

    async def _rest(self) -> None:
        future = self._loop.create_future()
        self._idle.append(future)
        await future

    def _rouse(self, most: int) -> None:
        while self._idle and most > 0:
            future = self._idle.popleft()
            if not future.done():
                future.set_result(None)
                most -= 1

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed = error


def _may(limit: int) -> dict[Lane, int]:
    return {lane: slots(limit, lane) for lane in LANES}
