"""Replies onto the wire, as plain ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from engine.http.call import Reply
from engine.http.problems import Problem

Send = Callable[[Any], Awaitable[None]]

PROBLEM_MEDIA = b"application/problem+json"
_ALWAYS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]


def of_problem(problem: Problem) -> Reply:
    """The reply that tells of a problem."""
    return Reply(problem.status, problem.body(), PROBLEM_MEDIA, tuple(problem.headers))


async def send_reply(send: Send, reply: Reply, more: list[tuple[bytes, bytes]]) -> None:
    """Send *reply* with *more* headers."""
    headers = [*reply.headers, *more, *_ALWAYS]
    if reply.status != 204:
        headers.append((b"content-type", reply.media))
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
