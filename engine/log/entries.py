"""What the log holds: entry kinds and their bytes.

Pings travel as columns (little-endian, one array after the other), everything else as MessagePack. The phone's time,
position and accuracy are all a ping is; the customer is its number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.log.keys import PARTITIONS

HEADER = struct.Struct("<BI")
VERSION = 1
COLUMNS: tuple[tuple[str, np.dtype[Any]], ...] = (
    ("number", np.dtype("<i8")),
    ("lat", np.dtype("<f8")),
    ("lng", np.dtype("<f8")),
    ("accuracy_m", np.dtype("<f4")),
    ("at_ms", np.dtype("<i8")),
)


PingRow = tuple[int, float, float, float, int]
"""One ping as `COLUMNS` has them."""

Column = NDArray[Any]


class EntryKind(StrEnum):
    """Who writes what: the API `pings` and `search`, the partition's owner the rest."""

    PINGS = "pings"
    SEARCH = "search"
    FACTS = "facts"
    TICK = "tick"
    SWITCH = "switch"
    RECLAIM = "reclaim"


@dataclass(frozen=True, slots=True)
class PingBatch:
    """Columns of equal length: number int64, lat and lng float64 in degrees, accuracy_m float32 (NaN: unknown),
    at_ms int64 (phone's time, epoch milliseconds)."""

    number: NDArray[np.int64]
    lat: NDArray[np.float64]
    lng: NDArray[np.float64]
    accuracy_m: NDArray[np.float32]
    at_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.number)

    def __repr__(self) -> str:  # positions stay out of logs and tracebacks
        return f"PingBatch({len(self)} pings)"

    @property
    def columns(self) -> tuple[Column, ...]:
        """The arrays, in the order of `COLUMNS`."""
        return self.number, self.lat, self.lng, self.accuracy_m, self.at_ms

    def take(self, rows: NDArray[np.intp]) -> PingBatch:
        """The pings at *rows*, in that order."""
        return PingBatch(*[column[rows] for column in self.columns])

    def cut(self, first: int, end: int) -> PingBatch:
        """Pings *first* to *end*, exclusive, as views."""
        return PingBatch(*[column[first:end] for column in self.columns])

    @classmethod
    def of(cls, rows: Sequence[PingRow]) -> PingBatch:
        """Rows as columns."""
        number, lat, lng, accuracy_m, at_ms = zip(*rows, strict=True)
        return cls(
            np.array(number, np.int64),
            np.array(lat, np.float64),
            np.array(lng, np.float64),
            np.array(accuracy_m, np.float32),
            np.array(at_ms, np.int64),
        )

    def by_partition(self) -> Iterator[tuple[int, bytes]]:
        """(partition, `encode_pings` of its pings in their order) for every partition that has some.

        Slices of bytes, because slices of arrays cost five times as much and a group of the log has eighty."""
        partitions = self.number % PARTITIONS
        order = np.argsort(partitions, kind="stable")
        ends = np.cumsum(np.bincount(partitions, minlength=PARTITIONS)).tolist()
        columns = [
            (bytes_of, dtype.itemsize) for bytes_of, (_, dtype) in zip(self.take(order)._bytes(), COLUMNS, strict=True)
        ]
        first = 0
        for p, end in enumerate(ends):
            if first < end:
                parts = [column[first * size : end * size] for column, size in columns]
                yield p, b"".join([HEADER.pack(VERSION, end - first), *parts])
                first = end

    def _bytes(self) -> list[bytes]:
        dtypes = (dtype for _, dtype in COLUMNS)
        return [np.asarray(column, dtype).tobytes() for column, dtype in zip(self.columns, dtypes, strict=True)]

    @classmethod
    def join(cls, batches: list[PingBatch]) -> PingBatch:
        """One batch after the other."""
        if len(batches) == 1:
            return batches[0]
        return cls(*map(np.concatenate, zip(*(batch.columns for batch in batches), strict=True)))


class SearchEvent(msgspec.Struct, frozen=True, array_like=True):
    """One search of a customer: where, when, and what its text was found to mean."""

    search: UUID
    number: int
    lat: float
    lng: float
    at_ms: int
    products: list[int] = []
    brands: list[str] = []
    categories: list[str] = []

    def __repr__(self) -> str:
        return f"SearchEvent({self.search})"


class Fact(msgspec.Struct, frozen=True, array_like=True):
    """One row of table `fact`; *payload* as its kind says."""

    seq: int
    kind: str
    payload: dict[str, Any]


class Switch(msgspec.Struct, frozen=True, array_like=True):
    """From here on the snapshot of *revision* is live."""

    revision: int


class Reclaim(msgspec.Struct, frozen=True, array_like=True):
    """Give back up to *coupons* of a campaign's unspent block."""

    campaign: int
    coupons: int


Payload = PingBatch | SearchEvent | list[Fact] | Switch | Reclaim | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One log entry: its position, the engine's time of it, and its decoded payload."""

    position: int
    log_ms: int
    kind: EntryKind
    payload: Payload


def encode_pings(batch: PingBatch) -> bytes:
    """Header (version, count), then each column's bytes."""
    return b"".join([HEADER.pack(VERSION, len(batch)), *batch._bytes()])


def decode_pings(payload: bytes) -> PingBatch:
    """Inverse of `encode_pings`; the arrays are read-only views of *payload*. ValueError for other bytes."""
    version, count = HEADER.unpack_from(payload)
    if version != VERSION:
        raise ValueError(f"unknown ping entry version {version}")
    columns = np.frombuffer(payload, _columns(count), 1, HEADER.size)[0]
    return PingBatch(*(columns[name] for name, _ in COLUMNS))


@lru_cache(512)
def _columns(count: int) -> np.dtype[np.void]:
    """All columns of *count* pings as one record: a view of it costs a fifth of five."""
    return np.dtype([(name, dtype, (count,)) for name, dtype in COLUMNS])


def encode(payload: Payload) -> bytes:
    """Bytes of any payload."""
    return encode_pings(payload) if isinstance(payload, PingBatch) else msgspec.msgpack.encode(payload)


_TYPES: dict[EntryKind, Any] = {
    EntryKind.SEARCH: SearchEvent,
    EntryKind.FACTS: list[Fact],
    EntryKind.TICK: None,
    EntryKind.SWITCH: Switch,
    EntryKind.RECLAIM: Reclaim,
}
_DECODERS = {kind: msgspec.msgpack.Decoder(type_) for kind, type_ in _TYPES.items()}


def decode(kind: EntryKind, payload: bytes) -> Payload:
    """Inverse of `encode`."""
    if kind is EntryKind.PINGS:
        return decode_pings(payload)
    decoded: Payload = _DECODERS[kind].decode(payload)
    return decoded
