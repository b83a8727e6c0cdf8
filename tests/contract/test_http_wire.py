"""A real `candlemaker api` process behind a real socket: abuse of the wire, streams, and an orderly end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from engine.settings import Settings
from tests.contract.http_world import World, a_ping, put_into_inbox, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = "import os; from engine.http.serve import main; from engine.settings import Settings; " + (
    "raise SystemExit(main(Settings.read(os.environ)))"
)


class Server:
    """One API process on a free port."""

    def __init__(self, settings: Settings) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = settings.data / f"api-{self.port}.log"
        environ = os.environ | replace(settings, port=self.port).environ()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-c", START], env=environ, stderr=log, stdout=log)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ready(self) -> None:
        async with httpx.AsyncClient(base_url=self.url) as client:
            for _ in range(200):
                try:
                    if (await client.get("/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.05)  # a process starts in its own time
        raise AssertionError(self.log.read_text())

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(
    module_database_url: str, module_redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    data: Path = tmp_path_factory.mktemp("data")
    async with running(Settings(data=data, database_url=module_database_url, redis_url=module_redis_url)) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(world: World) -> AsyncIterator[Server]:
    one = Server(world.services.settings)
    try:
        await one.ready()
        yield one
    finally:
        one.end()


async def raw(server: Server, sent: bytes, patience_s: float = 15.0, endless: bytes = b"") -> bytes:
    """What the server answers to these very bytes; *endless* is repeated until it answers or hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        async with asyncio.timeout(patience_s):
            writer.write(sent)
            feeding = asyncio.create_task(_feed(writer, endless))
            answer = b""
            try:
                while part := await reader.read(65536):
                    answer += part
                    if _complete(answer):
                        break
            except ConnectionError:
                pass
            finally:
                feeding.cancel()
            return answer
    finally:
        writer.close()


async def _feed(writer: asyncio.StreamWriter, endless: bytes) -> None:
    try:
        while endless:
            writer.write(endless)
            await writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        return


def _complete(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return False


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def head(world: World, *more: str, path: str = "/v1/pings") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: api", f"Authorization: Bearer {world.keys['app']}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


JSON = "Content-Type: application/json"


async def test_a_ping_over_the_wire(world: World, server: Server) -> None:
    body = json.dumps(a_ping(await world.customer())).encode()
    answer = await raw(server, head(world, JSON, f"Content-Length: {len(body)}") + body)
    assert status(answer) == 202, answer
