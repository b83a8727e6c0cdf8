"""What the log holds: entry kinds and their bytes.

Pings travel as columns (little-endian, one array after the other), everything else as MessagePack. The phone's time,
position and accuracy are all a ping is; the customer is its number.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

HEADER = struct.Struct("<BI")
VERSION = 1
COLUMNS = (
    ("number", np.dtype("<i8")),
    ("lat", np.dtype("<f8")),
    ("lng", np.dtype("<f8")),
    ("accuracy_m", np.dtype("<f4")),
    ("at_ms", np.dtype("<i8")),
)


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

    def take(self, rows: NDArray[np.intp]) -> PingBatch:
        """The pings at *rows*, in that order."""
        return PingBatch(*(getattr(self, name)[rows] for name, _ in COLUMNS))

    def cut(self, first: int, end: int) -> PingBatch:
        """Pings *first* to *end*, exclusive, as views."""
        return PingBatch(*(getattr(self, name)[first:end] for name, _ in COLUMNS))

    @classmethod
    def join(cls, batches: list[PingBatch]) -> PingBatch:
        """One batch after the other."""
        if len(batches) == 1:
            return batches[0]
        return cls(*(np.concatenate([getattr(b, name) for b in batches]) for name, _ in COLUMNS))


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
    columns = [np.ascontiguousarray(getattr(batch, name), dtype).tobytes() for name, dtype in COLUMNS]
    return b"".join([HEADER.pack(VERSION, len(batch)), *columns])


def decode_pings(payload: bytes) -> PingBatch:
    """Inverse of `encode_pings`; the arrays are read-only views of *payload*. ValueError for other bytes."""
    version, count = HEADER.unpack_from(payload)
    if version != VERSION:
        raise ValueError(f"unknown ping entry version {version}")
    offset, columns = HEADER.size, list[Any]()
    for _, dtype in COLUMNS:
        columns.append(np.frombuffer(payload, dtype, count, offset))
        offset += count * dtype.itemsize
    return PingBatch(*columns)


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
