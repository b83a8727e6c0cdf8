"""`python -m benchmarks.distance PORT TARGET MS`: a proxy on loopback that adds MS to every round trip.

Half of it each way; bytes keep their order and come through at any rate. Its processor time counts to nobody.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import uvloop

from benchmarks.machine import ROOT
from benchmarks.peers.stub import free_port, reachable


class _Way(asyncio.Protocol):
    """One direction: what arrives here leaves through `other` a little later."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._waiting: list[bytes] = []
        self.other: asyncio.Transport | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self._delay_s, self._forward, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            asyncio.get_running_loop().call_later(self._delay_s, self.other.close)

    def _forward(self, data: bytes) -> None:
        if self.other is None:
            self._waiting.append(data)
        elif not self.other.is_closing():
            self.other.write(data)

    def join(self, other: asyncio.Transport) -> None:
        """From now on what arrives goes there."""
        self.other = other
        for data in self._waiting:
            other.write(data)


class _Door(_Way):
    def __init__(self, delay_s: float, target: int) -> None:
        super().__init__(delay_s)
        self._target = target

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = asyncio.get_running_loop().create_task(self._meet())

    async def _meet(self) -> None:
        back = _Way(self._delay_s)
        loop = asyncio.get_running_loop()
        there, _ = await loop.create_connection(lambda: back, "127.0.0.1", self._target)
        assert self.transport is not None
        back.join(self.transport)
        self.join(there)


async def _serve(port: int, target: int, added_ms: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Door(added_ms / 2000, target), "127.0.0.1", port)
    await server.serve_forever()


@asynccontextmanager
async def away(target: int, added_ms: float) -> AsyncIterator[int]:
    """A port from which *target* is *added_ms* further away."""
    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.distance", str(port), str(target), str(added_ms)]
    process = subprocess.Popen(argv, cwd=ROOT)
    try:
        await reachable(port)
        yield port
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
