"""A real `candlemaker api` process behind a real socket: abuse of the wire, streams, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio

from engine.settings import Settings
from tests.contract.http_bodies import a_ping
from tests.contract.http_world import World, put_into_inbox

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
            for _ in range(1200):
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
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()  # an orphan would keep the database from being dropped
            raise


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(world: World) -> AsyncIterator[Server]:
    one = Server(world.services.settings)
    try:
        await one.ready()
        yield one
        assert await asyncio.to_thread(one.end) == 0, one.log.read_text()
    finally:
        await asyncio.to_thread(one.end, signal.SIGKILL)


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


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


async def test_a_chunked_ping(world: World, server: Server) -> None:
    body = json.dumps(a_ping(await world.customer())).encode()
    answer = await raw(server, head(world, JSON, "Transfer-Encoding: chunked") + chunked(body[:20], body[20:]))
    assert status(answer) == 202, answer


BAD_WIRES: dict[str, tuple[list[str], bytes]] = {
    "two Content-Lengths": ([JSON, "Content-Length: 2", "Content-Length: 3"], b"{}"),
    "negative length": ([JSON, "Content-Length: -1"], b"{}"),
    "length that is no number": ([JSON, "Content-Length: two"], b"{}"),
    "length of 30 digits": ([JSON, "Content-Length: " + "9" * 30], b"{}"),
    "bad chunk": ([JSON, "Transfer-Encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n"),
    "chunk of 2^64": ([JSON, "Transfer-Encoding: chunked"], b"ffffffffffffffffff\r\n{}"),
    "unknown transfer coding": ([JSON, "Transfer-Encoding: cow"], b"{}"),
    "length and chunks": ([JSON, "Content-Length: 2", "Transfer-Encoding: chunked"], b"zz\r\n"),
    "a 1 MB header": ([JSON, "X-Large: " + "x" * 1_000_000], b""),
    "20,000 headers": ([JSON, *(f"X-{n}: y" for n in range(20_000))], b""),
    "101 headers": ([JSON, "Content-Length: 2", *(f"X-{n}: y" for n in range(101))], b"{}"),
    "a header of 20 KB": ([JSON, "Content-Length: 2", "X-Large: " + "x" * 20_000], b"{}"),
    "NUL in a header": ([JSON, "X-Nul: a\0b"], b""),
    "space in a header name": ([JSON, "X Y: z"], b""),
    "no length at all": ([JSON], b""),
    "gzip": ([JSON, "Content-Encoding: gzip", "Content-Length: 2"], b"{}"),
}


@pytest.mark.parametrize("name", BAD_WIRES)
async def test_abuse_of_the_wire(world: World, server: Server, name: str) -> None:
    headers, body = BAD_WIRES[name]
    before = await world.count()
    answer = await raw(server, head(world, *headers) + body)
    assert 400 <= status(answer) < 500, answer[:200]
    assert await world.count() == before
    assert status(await raw(server, b"GET /livez HTTP/1.1\r\nHost: api\r\n\r\n")) == 200


async def test_an_address_of_200_kb(world: World, server: Server) -> None:
    answer = await raw(server, head(world, JSON, path="/v1/" + "x" * 200_000))
    assert status(answer) in (400, 414, 431), answer[:200]


@pytest.mark.parametrize(
    "request_line", [b"\xff\xfe\xfd", b"GET", b"GET /livez HTTP/9.9", b"G\0T / HTTP/1.1", b"GET /%ff HTTP/1.1"]
)
async def test_what_is_hardly_http(server: Server, request_line: bytes) -> None:
    answer = await raw(server, request_line + b"\r\nHost: api\r\n\r\n")
    assert 400 <= status(answer) < 500 or answer == b"", answer


async def test_a_body_without_end(world: World, server: Server) -> None:
    """Chunks for ever: refused at the limit, not at the end. Whoever goes on sending after the connection was closed
    may be reset before the answer is read (TCP), so not every try hears it."""
    before = await world.count()
    wire = head(world, JSON, "Transfer-Encoding: chunked")
    heard = [status(await raw(server, wire, endless=b"10000\r\n" + b" " * 65_536 + b"\r\n")) for _ in range(4)]
    assert 413 in heard and set(heard) <= {0, 413}, heard
    assert await world.count() == before


@pytest.mark.slow
async def test_headers_without_end_and_a_body_that_stalls(world: World, server: Server) -> None:
    """Real deadlines of ten seconds: belongs to `make prove`."""
    dripping = asyncio.create_task(raw(server, head(world)[:-2], 20, endless=b"X-A: y\r\n"))
    silent = asyncio.create_task(raw(server, b"GET /livez HTTP/1.1\r\nHost: a", 20))
    stalled = asyncio.create_task(raw(server, head(world, JSON, "Content-Length: 10") + b"{", 20))
    assert status(await dripping) in (0, 400, 431)
    assert status(await silent) in (0, 408)
    assert status(await stalled) == 408


async def test_pipelined_and_kept_alive_requests(world: World, server: Server) -> None:
    one = b"GET /livez HTTP/1.1\r\nHost: api\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(one * 5)
    answer = b""
    async with asyncio.timeout(5):
        while answer.count(b'{"live":true}') < 5:
            answer += await reader.read(65_536)
    writer.close()
    assert answer.count(b"HTTP/1.1 200") == 5


async def test_the_stream_shows_what_is_there_and_what_comes(world: World, server: Server) -> None:
    customer = await world.customer()
    first, _ = await world.coupon(customer)
    second, _ = await world.coupon(customer)
    decision = await put_into_inbox(world, customer, first)
    headers = {"Authorization": f"Bearer {await world.token(customer)}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
        async with client.stream("GET", "/v1/stream") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            feed = stream.aiter_lines()
            seen = await following(feed, "data:")
            assert "id: 1" in seen and json.loads(seen[-1][5:])["decision"] == decision
            later = await put_into_inbox(world, customer, second)
            seen = await following(feed, "data:")
            assert "id: 2" in seen and json.loads(seen[-1][5:])["decision"] == later
        async with client.stream("GET", "/v1/stream", headers={"Last-Event-ID": "1"}) as stream:
            seen = await following(stream.aiter_lines(), "data:")
            assert "id: 2" in seen and "id: 1" not in seen
        for wrong in ("x", "-1", "9" * 30):
            answer = await client.get("/v1/stream", headers={"Last-Event-ID": wrong})
            assert answer.status_code == 400


async def following(feed: AsyncIterator[str], until: str) -> list[str]:
    """The next lines, up to one that begins with *until*."""
    seen: list[str] = []
    async with asyncio.timeout(10):
        async for line in feed:
            seen.append(line)
            if line.startswith(until):
                return seen
    raise AssertionError(seen)


async def test_streams_of_one_customer_are_bounded(world: World, server: Server) -> None:
    headers = {"Authorization": f"Bearer {await world.token(await world.customer())}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as client, contextlib.AsyncExitStack() as stack:
        feeds = []  # held, for a generator that is dropped closes its stream
        for _ in range(5):
            stream = await stack.enter_async_context(client.stream("GET", "/v1/stream"))
            feeds.append(stream.aiter_lines())
            await following(feeds[-1], "retry:")
        assert (await client.get("/v1/stream")).status_code == 429
        await stack.aclose()
        async with asyncio.timeout(5):  # a client that left is noticed, and its place is free again
            while (await status_of(client)) == 429:
                await asyncio.sleep(0.02)


async def status_of(client: httpx.AsyncClient) -> int:
    async with client.stream("GET", "/v1/stream") as stream:
        return stream.status_code


async def test_sigterm_drains(world: World) -> None:
    """Whoever is being answered is answered; a stream ends; the exit is orderly."""
    one = Server(world.services.settings)
    try:
        await one.ready()
        customer = await world.customer()
        body = json.dumps(a_ping(customer)).encode()
        headers = {"Authorization": f"Bearer {await world.token(customer)}"}
        reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
        async with (
            httpx.AsyncClient(base_url=one.url, headers=headers) as client,
            client.stream("GET", "/v1/stream") as stream,
        ):
            feed = stream.aiter_lines()
            await following(feed, "retry:")
            writer.write(head(world, JSON, f"Content-Length: {len(body)}") + body[:10])
            await writer.drain()
            await asyncio.sleep(0.1)  # the request is inside before the signal is
            one.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)
            writer.write(body[10:])
            answer = await asyncio.wait_for(reader.readuntil(b"}"), 5)
            assert status(answer) == 202, answer
        writer.close()
        assert await asyncio.to_thread(one.process.wait, 20) == 0, one.log.read_text()
        assert "api.stopped" in one.log.read_text()
    finally:
        await asyncio.to_thread(one.end, signal.SIGKILL)
