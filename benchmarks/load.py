"""The bench's end of the generator's pipe."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from benchmarks.generator import Order, Report, World
from benchmarks.machine import ROOT

GRACE_S = 30.0
"""An order may take this much longer than it says: its last answers."""


class LoadError(Exception):
    """The generator died, or not everything it sent was accepted."""


class Load:
    """A running generator."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, order: Order) -> Report:
        """Carry out *order*; raises `LoadError` unless every ping was accepted."""
        await self._say(order)
        async with asyncio.timeout(order.seconds + GRACE_S):
            report = await self._hear()
        if report.refused or set(report.statuses) - {"202"}:
            raise LoadError(f"not everything was accepted: {report.refused} refused, answers {report.statuses}")
        return report

    @asynccontextmanager
    async def running(self, order: Order) -> AsyncIterator[None]:
        """Send while the block lasts; whatever is answered. *order.seconds* must be longer than the block."""
        await self._say(order)
        yield
        if self._process.returncode is not None:
            raise LoadError("the generator died")

    async def _say(self, message: msgspec.Struct) -> None:
        assert self._process.stdin
        self._process.stdin.write(msgspec.json.encode(message) + b"\n")
        await self._process.stdin.drain()

    async def _hear(self) -> Report:
        assert self._process.stdout
        line = await self._process.stdout.readline()
        if not line:
            raise LoadError("the generator died")
        return msgspec.json.decode(line, type=Report)


@asynccontextmanager
async def load(world: World) -> AsyncIterator[Load]:
    """A generator for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.generator", cwd=ROOT, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    running = Load(process)
    try:
        await running._say(world)
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
