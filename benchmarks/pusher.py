"""Sends a slice of a crowd's pings: a process of its own that takes orders as JSON lines.

Everything an order needs is written before the word "go", so that the clock runs over sending alone. A connection
carries at most `DEPTH` requests at a time; over RESP a request is a write of pipelined commands.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field

import msgspec

from benchmarks.rounds import Crowd, Wire, writer

DEPTH = {"resp": 4, "json": 1, "msgpack": 1}
_BUFFER = 1 << 20
_DONE = {"resp": b"+OK\r\n", "json": b"HTTP/1.1 202", "msgpack": b"HTTP/1.1 202"}
_BAD = {"resp": b"-ERR", "json": b"HTTP/1.1 4", "msgpack": b"HTTP/1.1 4"}


class Post(msgspec.Struct, frozen=True):
    """The first line: whose pings go where, and how."""

    crowd: Crowd
    first: int
    end: int
    wire: Wire
    host: str
    port: int
    connections: int
    batch: int
    key: str = ""


class Order(msgspec.Struct, frozen=True):
    """Rounds [first, end), round n dated base_ms + n * every_ms; *pings_per_s* 0: closed loop."""

    first: int
    end: int
    base_ms: int
    every_ms: int
    pings_per_s: float = 0.0


class Sent(msgspec.Struct, frozen=True):
    """What was done; wall clock in epoch seconds. `due_s`: when each request was due (sent, in a closed loop), by
    round and then by customer."""

    began_s: float
    ended_s: float
    pings: int
    due_s: list[float]


class Refused(Exception):
    """Something was not accepted."""


@dataclass(slots=True, eq=False)
class _Line:
    socket: socket.socket
    unsent: deque[memoryview] = field(default_factory=deque)
    awaited: deque[int] = field(default_factory=deque)
    """Answers each request under way still gets."""
    tail: bytes = b""


class Pusher:
    """One sender."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._writer = writer(post.wire, post.crowd.customers)
        self._lines = [_Line(_connected(post.host, post.port)) for _ in range(post.connections)]

    def prepare(self, order: Order) -> tuple[list[bytes], list[int]]:
        """All requests of an order, and the pings of each."""
        post, requests, sizes = self._post, [], []
        for number in range(order.first, order.end):
            lat, lng = post.crowd.places(number)
            at_ms = order.base_ms + number * order.every_ms
            for first in range(post.first, post.end, post.batch):
                end = min(first + post.batch, post.end)
                body = self._writer.batch(first, lat[first:end], lng[first:end], at_ms)
                requests.append(self._headed(body))
                sizes.append(end - first)
        return requests, sizes

    def _headed(self, body: bytes) -> bytes:
        if self._post.wire == "resp":
            return body
        head = (
            f"POST /v1/pings HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {self._post.key}\r\n"
            f"Content-Type: application/{self._post.wire}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def carry_out(self, order: Order, requests: list[bytes], sizes: list[int]) -> Sent:
        """Send everything and wait for all answers."""
        began_s, due_s, number = time.time(), [], 0
        gap_s = 1 / order.pings_per_s if order.pings_per_s else 0.0
        next_s = began_s
        while number < len(requests) or any(line.awaited for line in self._lines):
            now_s = time.time()
            free = [line for line in self._lines if len(line.awaited) < DEPTH[self._post.wire]]
            for line in free:
                if number < len(requests) and (not gap_s or next_s <= now_s):
                    due_s.append(next_s if gap_s else now_s)
                    next_s += gap_s * sizes[number]
                    line.unsent.append(memoryview(requests[number]))
                    line.awaited.append(sizes[number] if self._post.wire == "resp" else 1)
                    _push(line)
                    number += 1
            patience_s = 1.0
            if number < len(requests) and any(len(one.awaited) < DEPTH[self._post.wire] for one in self._lines):
                patience_s = max(0.0, next_s - time.time()) if gap_s else 0.0
            self._wait(patience_s)
        return Sent(began_s, time.time(), sum(sizes), due_s)

    def _wait(self, patience_s: float) -> None:
        reading = [line.socket for line in self._lines if line.awaited]
        writing = [line.socket for line in self._lines if line.unsent]
        readable, writable, _ = select.select(reading, writing, [], patience_s)
        for line in self._lines:
            if line.socket in writable:
                _push(line)
            if line.socket in readable:
                self._take(line)

    def _take(self, line: _Line) -> None:
        got = line.socket.recv(_BUFFER)
        if not got:
            raise ConnectionResetError("the server hung up")
        done = _DONE[self._post.wire]
        text = line.tail + got
        if _BAD[self._post.wire] in text or b"HTTP/1.1 5" in text:
            raise Refused(text[:300].decode(errors="replace"))
        if self._post.wire != "resp" and b'"refused":[]' not in text and text.endswith(b"}"):
            raise Refused(text[:600].decode(errors="replace"))
        found = text.count(done)
        line.tail = text[-(len(done) - 1) :] if not text.endswith(done) else b""
        while found and line.awaited:
            taken = min(found, line.awaited[0])
            found -= taken
            line.awaited[0] -= taken
            if not line.awaited[0]:
                line.awaited.popleft()


def _push(line: _Line) -> None:
    while line.unsent:
        try:
            sent = line.socket.send(line.unsent[0])
        except BlockingIOError:
            return
        if sent < len(line.unsent[0]):
            line.unsent[0] = line.unsent[0][sent:]
            return
        line.unsent.popleft()


def _connected(host: str, port: int) -> socket.socket:
    one = socket.create_connection((host, port))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    one.setblocking(False)
    return one


def main() -> int:
    """Orders on stdin; "ready" when one is written, and what was done after a "go"."""
    lines, answer = sys.stdin.buffer, sys.stdout.buffer
    post = msgspec.json.decode(lines.readline(), type=Post)
    for line in lines:
        order = msgspec.json.decode(line, type=Order)
        pusher = Pusher(post)
        requests, sizes = pusher.prepare(order)
        answer.write(b'"ready"\n')
        answer.flush()
        if lines.readline() != b'"go"\n':
            return 1
        answer.write(msgspec.json.encode(pusher.carry_out(order, requests, sizes)) + b"\n")
        answer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
