"""The only file that knows pyreqwest: one POST, at most one arrival, and an honest word on what is not known.

The client repeats a request by itself only on HTTP/2 REFUSED_STREAM and on streams above a GOAWAY's last
id, which the peer provably never processed; nothing else is ever repeated here. Redirects are answers, not
instructions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError

from engine.channels.fcm_vendor import on_loopback
from engine.errors import CandlemakerError

TIMEOUT_S = 15.0
"""From connecting to the last byte. Firebase asks for 10 s at least; shorter ones cause doubles."""
CONNECT_TIMEOUT_S = 5.0
IDLE_S = 170.0
"""FCM closes idle connections after about three minutes; we leave first."""
NEVER_SENT = (
    "client error (Connect)",
    "refused stream before processing",
    "received: not a result of an error",
)
"""Causes (hyper-util, h2, h2) of a failure before the peer could act: no connection, REFUSED_STREAM,
GOAWAY's tail.

pyreqwest's exception classes do not tell: a reset or a timeout after sending comes as `ConnectError` or
`ConnectTimeoutError`, too.
"""


class Unsent(CandlemakerError):
    """The request provably never reached the peer's application."""

    def __init__(self, message: str, refused_stream: bool) -> None:
        super().__init__(message)
        self.refused_stream = refused_stream


class Unanswered(CandlemakerError):
    """The request may have been processed: its answer is lost, late or cut."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire(Protocol):
    """What the channel needs of a transport."""

    async def post(self, url: str, bearer: str, body: bytes) -> Reply:
        """One POST of JSON; raises `Unsent` or `Unanswered`."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class HttpWire:
    """HTTP/2 where TLS negotiates it, else HTTP/1.1."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    def to(cls, base_url: str) -> HttpWire:
        """A wire to *base_url*; a loopback address is never reached through a proxy."""
        builder = bounded(ClientBuilder(), TIMEOUT_S)
        if on_loopback(base_url):
            builder = builder.no_proxy()
        return cls(builder.http2(base_url.startswith("https:")).build())

    async def post(self, url: str, bearer: str, body: bytes) -> Reply:
        request = self._client.post(url).header("authorization", f"Bearer {bearer}", is_sensitive=True)
        try:
            reply = await request.header("content-type", "application/json").body_bytes(body).build().send()
            return Reply(reply.status, {k.lower(): v for k, v in reply.headers.items()}, bytes(await reply.bytes()))
        except PyreqwestError as error:
            raise _failure(_causes(error)) from None

    async def close(self) -> None:
        await self._client.close()


def bounded(builder: ClientBuilder, timeout_s: float) -> ClientBuilder:
    """The bounds every client of ours has; it follows no redirect and raises for no status."""
    return (
        builder.timeout(timedelta(seconds=timeout_s))
        .connect_timeout(timedelta(seconds=min(timeout_s, CONNECT_TIMEOUT_S)))
        .pool_idle_timeout(timedelta(seconds=IDLE_S))
        .follow_redirects(False)
        .referer(False)
        .user_agent("candlemaker")
    )


def _causes(error: PyreqwestError) -> list[str]:
    if isinstance(error, DetailedPyreqwestError):
        return [cause["message"] for cause in error.details["causes"] or []]
    return []


def _failure(causes: Iterable[str]) -> Unsent | Unanswered:
    text = "; ".join(causes)
    if any(mark in text for mark in NEVER_SENT):
        return Unsent("not sent", refused_stream="(Connect)" not in text)
    return Unanswered("no answer")
