"""A large body costs the API a few megabytes, whatever its size."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.contract.http_world import World
from tests.contract.test_http_generated import resident_mb
from tests.contract.test_http_wire import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEGABYTES = 200
MOST_GROWN_MB = 64.0


@pytest.mark.slow
async def test_two_hundred_megabytes_pass_through(world: World) -> None:
    server = Server(world.services.settings)
    try:
        await server.ready()
        headers = {"Authorization": f"Bearer {world.keys['retailer']}", "Content-Type": "text/csv"}
        async with httpx.AsyncClient(base_url=server.url, timeout=120, headers=headers) as client:
            small = await client.post("/v1/uploads?kind=stores", content=b"x" * 3_000_000)
            before_mb = resident_mb(server.process.pid)
            large = await client.post("/v1/uploads?kind=stores", content=rows())
        assert (small.status_code, large.status_code) == (202, 202)
        assert large.json()["bytes"] == MEGABYTES << 20
        assert resident_mb(server.process.pid) - before_mb < MOST_GROWN_MB
    finally:
        await asyncio.to_thread(server.end, signal.SIGKILL)


async def rows() -> AsyncIterator[bytes]:
    for _ in range(MEGABYTES):
        yield b"x" * (1 << 20)
