"""The load: a process of its own that takes orders as JSON lines and answers each with what it did.

It stays up between windows of measuring, so that its customers walk on instead of jumping.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from benchmarks.bodies import Bodies
from benchmarks.ground import Movers, Square, Steppers, Walkers
from benchmarks.lines import Answer, Lines

BLOCK = 500
"""One-ping bodies are written this many at a time."""


class World(msgspec.Struct, frozen=True):
    """The first line: where to send, and who moves how."""

    url: str
    key: str
    seed: int
    side_m: float
    customers: int
    moves: Literal["walk", "step"]


class Order(msgspec.Struct, frozen=True):
    """What to send next.

    pings_per_s  0: as many as are answered (closed loop); else one batch every batch / pings_per_s seconds, whatever
                 is answered (open loop), each dated at the moment it was due
    """

    batch: int
    connections: int
    seconds: float
    pings_per_s: float = 0.0


class Report(msgspec.Struct, frozen=True):
    """What became of an order; wall clock in epoch milliseconds. `lag_s` is how late a due batch was sent at worst."""

    began_ms: float
    ended_ms: float
    requests: int
    accepted: int
    refused: int
    statuses: dict[str, int]
    lag_s: float
    answer_p50_ms: float
    answer_p99_ms: float


class _Accepted(msgspec.Struct):
    accepted: int
    refused: list[msgspec.Raw]


@dataclass
class _Tally:
    """Answers so far."""

    requests: int = 0
    accepted: int = 0
    refused: int = 0
    lag_s: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)

    def take(self, answers: list[Answer]) -> None:
        for answer in answers:
            self.statuses[str(answer.status)] += 1
            self.took_s.append(answer.took_s)
            if answer.status == 202:
                said = _decode(answer.body)
                self.accepted += said.accepted
                self.refused += len(said.refused)


_decode = msgspec.json.Decoder(_Accepted).decode


class Generator:
    """Sends orders' pings; customers take turns in the order of their number."""

    def __init__(self, world: World) -> None:
        parts = urlsplit(world.url)
        assert parts.hostname and parts.port
        self._host, self._port = parts.hostname, parts.port
        self._head = (
            f"POST /v1/pings HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {world.key}\r\n"
            "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )
        self._bodies = Bodies(world.customers)
        self._customers = world.customers
        self._movers = movers(world)
        self._next = 0
        self._singles: deque[bytes] = deque()

    def carry_out(self, order: Order) -> Report:
        """Send for *order.seconds*, then wait for the answers that are missing."""
        lines = Lines(self._host, self._port, order.connections)
        tally = _Tally()
        self._singles.clear()  # dated in an earlier order: late by now
        began_s = time.time()
        try:
            for due_s in _due(order, began_s):
                while not lines.free or time.time() < due_s:
                    tally.take(lines.answers(_patience_s(lines, due_s)))
                now_s = time.time()
                tally.lag_s = max(tally.lag_s, now_s - due_s) if due_s else 0.0
                lines.send(self._request(order.batch, due_s or now_s))
                tally.requests += 1
                if not lines.free:
                    tally.take(lines.answers(0.0))
            while lines.busy:
                tally.take(lines.answers(1.0))
        finally:
            lines.close()
        return _report(tally, began_s)

    def _request(self, batch: int, at_s: float) -> bytes:
        body = self._single(at_s) if batch == 1 else self._batch(batch, at_s)
        return (self._head % len(body)).encode() + body

    def _batch(self, batch: int, at_s: float) -> bytes:
        first, end = self._turn(batch)
        return self._bodies.batch(first, *self._movers.positions(first, end, at_s), int(at_s * 1000))

    def _single(self, at_s: float) -> bytes:
        if not self._singles:
            first, end = self._turn(BLOCK)
            places = self._movers.positions(first, end, at_s)
            self._singles.extend(self._bodies.singles(first, *places, int(at_s * 1000)))
        return self._singles.popleft()

    def _turn(self, most: int) -> tuple[int, int]:
        """Customers [first, end) whose turn it is: never more than are left of the round."""
        first = self._next
        end = min(first + most, self._customers)
        self._next = end % self._customers
        return first, end


def movers(world: World) -> Movers:
    """Who moves how."""
    if world.moves == "walk":
        return Walkers(world.seed, world.side_m, world.customers)
    return Steppers(Square(world.seed, world.side_m, 1), world.customers)


def _due(order: Order, began_s: float) -> Iterator[float]:
    """When each request is due (epoch seconds); 0.0, at once, in a closed loop."""
    if order.pings_per_s:
        gap_s = order.batch / order.pings_per_s
        for turn in range(round(order.seconds / gap_s)):
            yield began_s + turn * gap_s
    else:
        while time.time() < began_s + order.seconds:
            yield 0.0


def _patience_s(lines: Lines, due_s: float) -> float:
    """How long to wait for answers: until the next request is due, or one is answered."""
    return 1.0 if not lines.free else max(0.0, min(1.0, due_s - time.time()))


def _report(tally: _Tally, began_s: float) -> Report:
    took_ms = sorted(1000 * one for one in tally.took_s) or [0.0]
    return Report(
        began_ms=1000 * began_s,
        ended_ms=1000 * time.time(),
        requests=tally.requests,
        accepted=tally.accepted,
        refused=tally.refused,
        statuses=dict(tally.statuses),
        lag_s=tally.lag_s,
        answer_p50_ms=took_ms[len(took_ms) // 2],
        answer_p99_ms=took_ms[len(took_ms) * 99 // 100],
    )


def main() -> int:
    """Orders on stdin, reports on stdout; ends with its input."""
    generator = Generator(msgspec.json.decode(sys.stdin.buffer.readline(), type=World))
    for line in sys.stdin.buffer:
        report = generator.carry_out(msgspec.json.decode(line, type=Order))
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
