"""The only file that knows wreq: one POST, at most one arrival, and an honest word on what is not known.

Chosen by `benchmarks/send_transports.py`. The client repeats a request by itself only on HTTP/2 REFUSED_STREAM and on
streams above a GOAWAY's last id, which the peer provably never processed; nothing else is ever repeated here. Redirects
are answers, not instructions.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any, Final, Protocol

import wreq
from wreq.exceptions import (
    BodyError,
    BuilderError,
    ConnectionError,
    ConnectionResetError,
    DecodingError,
    RequestError,
    TimeoutError,
    TlsError,
)
from wreq.header import HeaderMap
from wreq.redirect import Policy
from wreq.tls import CertStore

from engine.channels.fcm_vendor import on_loopback
from engine.errors import CandlemakerError, SettingError

TIMEOUT_S: Final = 15.0
"""From connecting to the last byte. Firebase asks for 10 s at least; shorter ones cause doubles."""
CONNECT_TIMEOUT_S: Final = 5.0
IDLE_S: Final = 170.0
"""FCM closes idle connections after about three minutes; we leave first."""
WARM_S: Final = 150.0
"""A connection that answered so lately is taken for open. Others are made without a message in hand: what was asked
about a person must not grow old while a connection comes about."""
STREAMS: Final = 90
"""Requests under way on one connection: FCM allows 100."""
CONNECTIONS: Final = 2
"""A wire begins with so many."""
_NEVER_PROCESSED: Final = ("REFUSED_STREAM", "NO_ERROR")
"""What wreq says of a stream that the peer refused, or that lies above a graceful GOAWAY's last id."""
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_FAILED: Final = (
    BodyError, BuilderError, ConnectionError, ConnectionResetError, DecodingError, RequestError, TimeoutError, TlsError,
)  # fmt: skip


class Unsent(CandlemakerError):
    """The request provably never reached the peer's application."""

    def __init__(self, message: str, refused_stream: bool) -> None:
        super().__init__(message)
        self.refused_stream = refused_stream


class Unanswered(CandlemakerError):
    """The request may have been processed: its answer is lost, late or cut."""


@dataclass(slots=True)
class Reply:
    """A complete answer; header names are lower-case. A 200's headers are left out, nobody reads them."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire(Protocol):
    """What the channel needs of a transport."""

    async def post(self, url: str, bearer: str, body: bytes) -> Reply:
        """One POST of JSON; raises `Unsent` or `Unanswered`."""
        ...

    @property
    def warm(self) -> bool:
        """Whether a message that is posted now is written now."""
        ...

    async def open(self) -> None:
        """Make the connections; raises `Unsent`."""
        ...

    def widen(self, connections: int) -> None:
        """Spread what comes over this many connections."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class _Connection:
    """One client: with HTTP/2 it keeps one connection."""

    __slots__ = ("client", "flying")

    def __init__(self, client: wreq.Client) -> None:
        self.client = client
        self.flying = 0


@dataclass(frozen=True)
class Way:
    """How to reach the peer: *http2* without asking (h2c, prior knowledge), *ca* a file of certificates of our own."""

    base_url: str
    timeout_s: float = TIMEOUT_S
    http2: bool = False
    ca: str = ""


class HttpWire:
    """HTTP/2 where TLS negotiates it, else HTTP/1.1; each request on the connection with the fewest under way."""

    def __init__(self, way: Way, connections: int = CONNECTIONS) -> None:
        """Raises `SettingError` when the file of certificates is not one."""
        self._way = way
        self._trust = _trust(way.ca)
        self._headers = ("", HeaderMap())
        self._connections = [_Connection(self._client()) for _ in range(connections)]
        self._wanted = connections
        self._warm_until_s = 0.0
        self._opening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def post(self, url: str, bearer: str, body: bytes) -> Reply:
        if self._headers[0] != bearer:
            self._headers = (bearer, _headers(bearer))
        one = min(self._connections, key=_flying) if len(self._connections) > 1 else self._connections[0]
        one.flying += 1
        try:
            reply = await one.client.post(url, headers=self._headers[1], body=body)
            status = reply.status.as_int()
            content = bytes(await reply.bytes())
        except _FAILED as error:
            if not isinstance(error, TimeoutError):
                self._warm_until_s = 0.0  # with it the connection may be gone
            raise _failure(error) from None
        finally:
            one.flying -= 1
        self._warm_until_s = monotonic() + WARM_S
        if status == 200:
            return Reply(200, _NO_HEADERS, content)
        return Reply(status, {_text(name).lower(): _text(value) for name, value in reply.headers}, content)

    @property
    def warm(self) -> bool:
        return monotonic() < self._warm_until_s

    async def open(self) -> None:
        if self._opening is None or self._opening.done():
            self._opening = self._started(self._opened(self._connections))
        await asyncio.shield(self._opening)  # who gives up must not cancel what the others wait for

    def widen(self, connections: int) -> None:
        more, self._wanted = connections - len(self._connections), connections
        if more > 0:
            self._started(self._widened([_Connection(self._client()) for _ in range(more)]))
        # What is under way on a connection that is let go is answered still: its caller holds the client.
        del self._connections[max(1, connections) :]

    async def _opened(self, connections: Iterable[_Connection]) -> None:
        """Ask for nothing in particular on each: whatever is answered, there is a connection then."""
        try:
            for reply in await asyncio.gather(*(one.client.get(self._way.base_url) for one in connections)):
                await reply.bytes()
        except _FAILED:
            raise Unsent("no connection", refused_stream=False) from None
        self._warm_until_s = monotonic() + WARM_S

    async def _widened(self, more: list[_Connection]) -> None:
        """They are used once they are made."""
        with contextlib.suppress(Unsent):
            await self._opened(more)
        self._connections += more[: max(0, self._wanted - len(self._connections))]

    def _started(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for one in self._connections:
            one.client.close()
        await asyncio.sleep(0)

    def _client(self) -> wreq.Client:
        way = self._way
        return wreq.Client(
            timeout=timedelta(seconds=way.timeout_s),
            connect_timeout=timedelta(seconds=min(way.timeout_s, CONNECT_TIMEOUT_S)),
            pool_idle_timeout=timedelta(seconds=IDLE_S),
            redirect=Policy.none(),
            referer=False,
            cookie_store=False,
            user_agent="candlemaker",
            gzip=False,
            brotli=False,
            deflate=False,
            zstd=False,
            http2_only=way.http2,
            no_proxy=on_loopback(way.base_url),  # no proxy may stand in front of this machine
            tls_verify=True if self._trust is None else self._trust,
        )


def _flying(connection: _Connection) -> int:
    return connection.flying


def _headers(bearer: str) -> HeaderMap:
    headers = HeaderMap()
    headers.insert("authorization", f"Bearer {bearer}")
    headers.insert("content-type", "application/json")
    return headers


def _trust(ca: str) -> CertStore | None:
    if not ca:
        return None
    try:
        return CertStore.from_pem_stack(Path(ca).read_bytes())
    except (OSError, TlsError, BuilderError, ValueError) as error:
        raise SettingError(f"CANDLEMAKER_FCM_CA: no usable file of certificates ({type(error).__name__})") from None


def _text(value: memoryview) -> str:
    return bytes(value).decode("latin-1")


def _failure(error: Exception) -> Unsent | Unanswered:
    """Nothing of the error's own text is kept: it names the address."""
    if isinstance(error, ConnectionError | TlsError | BuilderError):
        return Unsent("not sent", refused_stream=False)
    if isinstance(error, RequestError) and any(mark in str(error) for mark in _NEVER_PROCESSED):
        return Unsent("not sent", refused_stream=True)
    return Unanswered("no answer")
