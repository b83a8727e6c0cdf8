"""HTTP/2 tells provably unprocessed from unknown; the frames are written by hand, no server offers these faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.channels.fcm import FcmChannel
from engine.channels.fcm_vendor import Vendor
from engine.channels.fcm_wire import HttpWire, Way
from engine.channels.push import Verdict
from tests.contract.fcm_rig import CLOCK, Rig, push, running


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        yield rig


async def _frames(mode: str, seen: list[int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Just enough of an HTTP/2 server (RFC 9113) to refuse: RST_STREAM REFUSED_STREAM, or GOAWAY with last id 0."""
    try:
        await reader.readexactly(24)
        writer.write(bytes([0, 0, 0, 4, 0]) + bytes(4))
        while True:
            head = await reader.readexactly(9)
            await reader.readexactly(int.from_bytes(head[:3]))
            if head[3] != 1:
                continue
            seen.append(int.from_bytes(head[5:]))
            if mode == "refused_stream":
                writer.write(bytes([0, 0, 4, 3, 0]) + head[5:] + (7).to_bytes(4))
            elif mode == "low_goaway":
                writer.write(bytes([0, 0, 8, 7, 0]) + bytes(4) + bytes(4) + bytes(4))
                break
            else:
                break
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@asynccontextmanager
async def _h2_server(mode: str) -> AsyncIterator[tuple[str, list[int]]]:
    seen: list[int] = []
    talks: list[asyncio.Task[None]] = []

    def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.create_task(_frames(mode, seen, reader, writer)))

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()
        await server.wait_closed()
        for talk in talks:  # the client keeps its connection pooled for a while after `close`
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


@pytest.mark.parametrize(
    ("mode", "verdict"),
    [
        ("refused_stream", Verdict.UNPROCESSED),
        ("low_goaway", Verdict.UNPROCESSED),
        ("hang_up", Verdict.UNKNOWN),
    ],
)
async def test_http2_tells_the_unprocessed_from_the_unknown(rig: Rig, mode: str, verdict: Verdict) -> None:
    async with _h2_server(mode) as (address, seen):
        wire = HttpWire(Way(address, 5, http2=True))
        channel = FcmChannel(Vendor(rig.settings.fcm_service_account, address), wire)
        outcome = await channel.send(push("phone-h2"), CLOCK.now_ms())
        await channel.close()
    assert (outcome.verdict, outcome.retry_after_s) == (verdict, None)
    assert len(seen) == 1 if verdict is Verdict.UNKNOWN else seen
