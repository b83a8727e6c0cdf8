"""The same pings for everybody: where each customer is in each round, and what that looks like on each wire."""

from __future__ import annotations

import struct
from typing import Final, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.bodies import Bodies, Bytes, customer_id, write_degrees
from benchmarks.ground import Floats, degrees

Moves = Literal["walk", "teleport"]
Wire = Literal["resp", "json", "msgpack"]
FLEET: Final = b"fleet"
_TINY: Final = 1e7
"""Degrees are sent with seven digits behind the point, and are those very numbers."""


class Crowd(msgspec.Struct, frozen=True):
    """Customers 0..n-1 in a square of *side_m*, who walk *step_m* between two rounds or are anywhere."""

    seed: int
    moves: Moves
    customers: int
    side_m: float
    step_m: float

    def places(self, number: int) -> tuple[Floats, Floats]:
        """(lat, lng) of everybody in round *number*."""
        lat, lng = degrees(*(self._walked(number) if self.moves == "walk" else self._jumped(number)))
        return np.rint(lat * _TINY) / _TINY, np.rint(lng * _TINY) / _TINY

    def _walked(self, number: int) -> Floats:
        random = np.random.default_rng([self.seed, 2])
        start_m = random.uniform(0.0, 2 * self.side_m, (2, self.customers))
        heading = random.uniform(0.0, 2 * np.pi, self.customers)
        # Unfolded, the square repeats as its mirror image: there and back again is twice its side.
        unfolded = (start_m + self.step_m * number * np.stack([np.cos(heading), np.sin(heading)])) % (2 * self.side_m)
        return np.minimum(unfolded, 2 * self.side_m - unfolded) - self.side_m / 2

    def _jumped(self, number: int) -> Floats:
        half_m = self.side_m / 2
        return np.random.default_rng([self.seed, 3, number]).uniform(-half_m, half_m, (2, self.customers))


class Writer(Protocol):
    """Customers' pings as bytes of one wire."""

    def batch(self, first: int, lat: Floats, lng: Floats, at_ms: int) -> bytes:
        """The request that reports customers from *first* on at these places."""


class Resp:
    """Pipelined `SET fleet id POINT lat lng`, as Redis' protocol has it."""

    _ROW = b"*6\r\n$3\r\nSET\r\n$5\r\n%b\r\n$9\r\n%b\r\n$5\r\nPOINT\r\n$10\r\n00.0000000\r\n$10\r\n00.0000000\r\n"

    def __init__(self, customers: int) -> None:
        rows = b"".join(self._ROW % (FLEET, customer_id(index).encode()) for index in range(customers))
        self._rows: Bytes = np.frombuffer(rows, np.uint8).reshape(customers, -1).copy()
        sample = self._ROW % (FLEET, customer_id(0).encode())
        self._lat = sample.index(b"00.0", sample.index(b"POINT"))
        self._lng = sample.index(b"00.0", self._lat + 10)

    def batch(self, first: int, lat: Floats, lng: Floats, at_ms: int) -> bytes:
        rows = self._rows[first : first + len(lat)]
        write_degrees(rows[:, self._lat :], lat)
        write_degrees(rows[:, self._lng :], lng)
        return rows.tobytes()


class Packed:
    """`{"pings": [...]}` in MessagePack; the time as its timestamp extension of 64 bits."""

    _ROW = b"\x85\xa8customer\xa9%b\xa3lat\xcb%b\xa3lng\xcb%b\xa2at\xd7\xff%b\xaaaccuracy_m\xcb%b"

    def __init__(self, customers: int) -> None:
        accuracy = struct.pack(">d", 8.5)
        rows = b"".join(
            self._ROW % (customer_id(index).encode(), bytes(8), bytes(8), bytes(8), accuracy)
            for index in range(customers)
        )
        self._rows: Bytes = np.frombuffer(rows, np.uint8).reshape(customers, -1).copy()
        sample = rows[: self._rows.shape[1]]
        self._lat, self._lng = sample.index(b"lat\xcb") + 4, sample.index(b"lng\xcb") + 4
        self._at = sample.index(b"at\xd7\xff") + 4

    def batch(self, first: int, lat: Floats, lng: Floats, at_ms: int) -> bytes:
        rows = self._rows[first : first + len(lat)]
        rows[:, self._lat : self._lat + 8] = _big(lat)
        rows[:, self._lng : self._lng + 8] = _big(lng)
        stamp = (at_ms % 1000 * 1_000_000) << 34 | at_ms // 1000
        rows[:, self._at : self._at + 8] = np.frombuffer(stamp.to_bytes(8), np.uint8)
        return b"\x81\xa5pings\xdc" + len(lat).to_bytes(2) + rows.tobytes()


def writer(wire: Wire, customers: int) -> Writer:
    """Who writes for a wire."""
    writers: dict[Wire, type[Resp | Bodies | Packed]] = {"resp": Resp, "json": Bodies, "msgpack": Packed}
    return writers[wire](customers)


def _big(values: Floats) -> NDArray[np.uint8]:
    return values.astype(">f8").view(np.uint8).reshape(len(values), 8)
