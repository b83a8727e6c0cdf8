"""Senders and a subscriber beside the bench: processes that are spoken to by lines of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.machine import ROOT
from benchmarks.pusher import Order, Post, Sent
from benchmarks.subscriber import Heard, Hello

ANSWER_S = 240.0
QUIET_S = 0.6
"""After so long without an event there is none to come."""


class Hand:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def say(self, value: Any) -> None:
        """Send one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(value) + b"\n")
        await self._process.stdin.drain()

    async def hear(self, kind: Any = Any) -> Any:
        """The next line; RuntimeError when the process is gone."""
        assert self._process.stdout is not None
        async with asyncio.timeout(ANSWER_S):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the bench died")
        return msgspec.json.decode(line, type=kind)


@asynccontextmanager
async def hand(module: str, first: Any) -> AsyncIterator[Hand]:
    """A process of *module* for the length of the block, told *first*."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,
    )  # fmt: skip
    one = Hand(process)
    try:
        await one.say(first)
        yield one
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def senders(post: Post, count: int) -> AsyncIterator[list[Hand]]:
    """*count* processes that share the crowd of *post*."""
    everybody = post.crowd.customers
    ends = [everybody * number // count for number in range(count + 1)]
    async with contextlib.AsyncExitStack() as opened:
        posts = [msgspec.structs.replace(post, first=a, end=b) for a, b in itertools.pairwise(ends)]
        yield [await opened.enter_async_context(hand("benchmarks.pusher", one)) for one in posts]


async def push(hands: Sequence[Hand], order: Order) -> list[Sent]:
    """Carry *order* out; writing the requests is not part of it."""
    share = msgspec.structs.replace(order, pings_per_s=order.pings_per_s / len(hands))
    for one in hands:
        await one.say(share)
    for one in hands:
        await one.hear()
    for one in hands:
        await one.say("go")
    return [await one.hear(Sent) for one in hands]


class Subscriber:
    """The process that hears."""

    def __init__(self, one: Hand) -> None:
        self._hand = one

    async def quiet(self) -> Heard:
        """What was heard once nothing comes any more."""
        before = await self._heard()
        while True:
            await asyncio.sleep(QUIET_S)
            after = await self._heard()
            if after.events == before.events:
                return after
            before = after

    async def events(self, path: Path) -> np.ndarray:
        """All events since the last asking, as HEARD."""
        await self._hand.say(str(path))
        await self._hand.hear()
        found: np.ndarray = np.load(path)
        return found

    async def _heard(self) -> Heard:
        await self._hand.say("heard")
        heard: Heard = await self._hand.hear(Heard)
        return heard


@asynccontextmanager
async def subscriber(hello: Hello) -> AsyncIterator[Subscriber]:
    """A subscriber that listens by now."""
    async with hand("benchmarks.subscriber", hello) as one:
        await one.hear()
        yield Subscriber(one)
