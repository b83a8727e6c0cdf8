"""Reading a request's body: bounded in bytes and time, JSON only, never compressed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from engine.http.problems import Problem

Receive = Callable[[], Awaitable[Any]]

DEADLINE_S = 10.0
"""A whole body arrives within this, however steadily it drips."""


class Gone(Exception):
    """The client went away before its body was complete: there is nobody to answer."""


async def read_body(headers: dict[bytes, bytes], receive: Receive, limit_bytes: int) -> bytes:
    """The body's bytes; raise `Problem` (411-like faults as 400, 408, 413, 415) or `Gone`."""
    require_plain_json(headers)
    declared = headers.get(b"content-length")
    if declared is not None and (not declared.isdigit() or len(declared) > 18):
        raise Problem("malformed_request", "Content-Length is not a number")
    if declared is not None and int(declared) > limit_bytes:
        raise too_large(limit_bytes)
    first = await _first(receive)
    if not first.get("more_body", False):
        return _bounded(first.get("body", b""), limit_bytes)
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await _rest(first.get("body", b""), receive, limit_bytes)
    except TimeoutError:
        raise Problem("body_too_slow", f"a body has {DEADLINE_S:.0f} s to arrive") from None


async def _first(receive: Receive) -> Any:
    try:
        async with asyncio.timeout(DEADLINE_S):
            message = await receive()
    except TimeoutError:
        raise Problem("body_too_slow", f"a body has {DEADLINE_S:.0f} s to arrive") from None
    if message["type"] == "http.disconnect":
        raise Gone
    return message


async def _rest(begun: bytes, receive: Receive, limit_bytes: int) -> bytes:
    parts, size, more = [begun], len(begun), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit_bytes:
            raise too_large(limit_bytes)
        more = message.get("more_body", False)
    return b"".join(parts)


def _bounded(body: bytes, limit_bytes: int) -> bytes:
    if len(body) > limit_bytes:
        raise too_large(limit_bytes)
    return body


def too_large(limit_bytes: int) -> Problem:
    """413 that names the limit; the connection is closed, for its rest is not read."""
    return Problem("too_large", f"at most {limit_bytes} bytes", headers=[(b"connection", b"close")])


def require_plain_json(headers: dict[bytes, bytes]) -> None:
    """415 unless the body is declared as JSON in UTF-8 and is not compressed."""
    kind, _, parameters = headers.get(b"content-type", b"").partition(b";")
    if kind.strip().lower() != b"application/json":
        raise Problem("unsupported_media_type", "Content-Type must be application/json")
    if parameters.strip().lower().replace(b'"', b"") not in (b"", b"charset=utf-8"):
        raise Problem("unsupported_media_type", "JSON is UTF-8 here, without other parameters")
    if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
        raise Problem("unsupported_media_type", "compressed bodies are not taken")
