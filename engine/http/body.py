"""Reading a request's body: bounded in bytes (the endpoint bounds the time), JSON or MessagePack, never compressed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from engine.http.codec import CODECS, JSON, MSGPACK, Codec
from engine.http.problems import Problem

Receive = Callable[[], Awaitable[Any]]

CLOSE = (b"connection", b"close")
"""The rest of the body is not read, so the connection is of no more use."""


async def read_body(headers: dict[bytes, bytes], receive: Receive, limit_bytes: int) -> bytes:
    """The body's bytes; raise `Problem` 400 or 413."""
    declared = headers.get(b"content-length")
    if declared is not None and (not declared.isdigit() or len(declared) > 18):
        raise Problem("malformed_request", "Content-Length is not a number")
    if declared is not None and int(declared) > limit_bytes:
        raise too_large(limit_bytes)
    message = await receive()
    if message["type"] != "http.disconnect" and not message.get("more_body", False):
        return _bounded(message.get("body", b""), limit_bytes)
    return await _rest(message, receive, limit_bytes)


async def _rest(message: Any, receive: Receive, limit_bytes: int) -> bytes:
    parts, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            # Gone, or (granian says the same) bytes that are no chunks: then there is somebody to tell.
            raise Problem("malformed_request", "the body ended before it was complete", headers=[CLOSE])
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit_bytes:
            raise too_large(limit_bytes)
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()


def _bounded(body: bytes, limit_bytes: int) -> bytes:
    if len(body) > limit_bytes:
        raise too_large(limit_bytes)
    return body


def too_large(limit_bytes: int) -> Problem:
    """413 that names the limit; the connection is closed, for its rest is not read."""
    return Problem("too_large", f"at most {limit_bytes} bytes", headers=[CLOSE])


def codec_of(headers: dict[bytes, bytes]) -> Codec:
    """What the body is encoded in; raise 415 unless it is declared as JSON in UTF-8 or MessagePack, uncompressed."""
    declared = headers.get(b"content-type", b"")
    codec = CODECS.get(declared)
    if codec is not None and b"content-encoding" not in headers:
        return codec
    kind, _, parameters = declared.partition(b";")
    codec = CODECS.get(kind.strip().lower())
    if codec is None:
        raise Problem("unsupported_media_type", f"Content-Type must be {JSON.media} or {MSGPACK.media}")
    charsets = (b"", b"charset=utf-8") if codec is JSON else (b"",)
    if parameters.strip().lower().replace(b'"', b"") not in charsets:
        raise Problem("unsupported_media_type", "JSON is UTF-8 here, without other parameters; MessagePack has none")
    if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
        raise Problem("unsupported_media_type", "compressed bodies are not taken")
    return codec
