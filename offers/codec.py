"""A snapshot as three parts of bytes and back: arrays are views onto the bytes, so processes share one mapped file.

A part: 8 bytes of magic, 8 bytes little-endian length of the directory, the directory in MessagePack, then the
arrays, each at a multiple of 64 bytes. The bytes depend on the snapshot's content alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geo.errors import GeoError
from geo.index import FenceIndex
from offers.campaigns import CampaignTable
from offers.errors import BrokenSnapshot
from offers.intervals import IntervalTable
from offers.live import LiveCampaign, Skipped
from offers.products import ProductTable
from offers.snapshot import Postings, Snapshot

PARTS = ("campaigns", "catalogue", "fences")
POSTINGS = ("ptr", "campaign", "schedule", "hours")
MAGIC = b"CANDLE05"
"""With the version: another one whenever an array means something else than before under its old name."""
HEAD = 16
LINE = 64
Arrays = dict[str, npt.NDArray[Any]]
Part = bytes | memoryview
T = TypeVar("T")


class Extent(Struct, frozen=True, array_like=True):
    """Where one array lies: its dtype, shape and first byte (counted from the start of the arrays)."""

    dtype: str
    shape: tuple[int, ...]
    start: int


class Directory(Struct, frozen=True):
    """What a part holds: arrays by name, and the rest as MessagePack."""

    arrays: dict[str, Extent]
    rest: msgspec.Raw


class CampaignsRest(Struct, frozen=True):
    """Part "campaigns", beside its arrays."""

    campaigns: tuple[LiveCampaign, ...]
    from_ms: int
    until_ms: int
    skipped: tuple[Skipped, ...]


_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def digest(part: Part) -> str:
    """32 hex digits naming the bytes: BLAKE2b."""
    return hashlib.blake2b(part, digest_size=16).hexdigest()


def encode(snapshot: Snapshot) -> dict[str, bytes]:
    """Part name → bytes, for `PARTS`."""
    return {
        "campaigns": _pack(
            {
                **{name: getattr(snapshot.postings, name) for name in POSTINGS},
                **_prefixed("table_", snapshot.table.arrays()),
                **_prefixed("hours_", snapshot.hours.arrays()),
                **_prefixed("schedules_", snapshot.schedules.arrays()),
            },
            CampaignsRest(snapshot.campaigns, snapshot.from_ms, snapshot.until_ms, snapshot.skipped),
        ),
        "catalogue": _pack(snapshot.products.arrays, snapshot.products.words),
        "fences": _pack({"store": snapshot.fence_store, **_prefixed("index_", snapshot.fences.arrays())}, None),
    }


def decode(parts: Mapping[str, Part]) -> Snapshot:
    """The snapshot in *parts*; raises `BrokenSnapshot`. Arrays stay views: keep the buffers as long as it is used."""
    campaigns, rest = _unpack(parts, "campaigns", CampaignsRest)
    products, words = _unpack(parts, "catalogue", tuple[str, ...])
    fences, _ = _unpack(parts, "fences", type(None))
    try:
        return Snapshot(
            fences=FenceIndex.from_arrays(_stripped("index_", fences)),
            fence_store=fences["store"],
            postings=Postings(**{name: campaigns[name] for name in POSTINGS}),
            campaigns=rest.campaigns,
            table=CampaignTable.from_arrays(_stripped("table_", campaigns)),
            hours=IntervalTable(**_stripped("hours_", campaigns)),
            schedules=IntervalTable(**_stripped("schedules_", campaigns)),
            from_ms=rest.from_ms,
            until_ms=rest.until_ms,
            products=ProductTable(products, words),
            skipped=rest.skipped,
        )
    except (KeyError, TypeError, GeoError) as error:
        raise BrokenSnapshot(f"the parts of the snapshot lack an array: {error}") from error


def _prefixed(prefix: str, arrays: Arrays) -> Arrays:
    return {prefix + name: array for name, array in arrays.items()}


def _stripped(prefix: str, arrays: Arrays) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _pack(arrays: Arrays, rest: object) -> bytes:
    start = 0
    extents: dict[str, Extent] = {}
    for name in sorted(arrays):
        array = arrays[name]
        extents[name] = Extent(array.dtype.newbyteorder("<").str, array.shape, start)
        start = _line(start + array.nbytes)
    directory = _encode(Directory(extents, msgspec.Raw(_encode(rest))))
    first = _line(HEAD + len(directory))
    out = bytearray(first + start)
    out[:HEAD] = MAGIC + len(directory).to_bytes(8, "little")
    out[HEAD : HEAD + len(directory)] = directory
    for name, extent in extents.items():
        at = first + extent.start
        out[at : at + arrays[name].nbytes] = np.ascontiguousarray(arrays[name], extent.dtype).tobytes()
    return bytes(out)


def _unpack(parts: Mapping[str, Part], name: str, rest: type[T]) -> tuple[Arrays, T]:
    try:
        part = memoryview(parts[name]).toreadonly()
    except KeyError:
        raise BrokenSnapshot(f"a snapshot lacks the part {name!r}") from None
    size = int.from_bytes(part[len(MAGIC) : HEAD], "little")
    if bytes(part[: len(MAGIC)]) != MAGIC or HEAD + size > len(part):
        raise BrokenSnapshot(f"the part {name!r} is not of the version {MAGIC.decode()}, or cut short")
    try:
        directory = msgspec.msgpack.decode(part[HEAD : HEAD + size], type=Directory)
        arrays = part[_line(HEAD + size) :]
        return {key: _view(arrays, e) for key, e in directory.arrays.items()}, msgspec.msgpack.decode(
            directory.rest, type=rest
        )
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise BrokenSnapshot(f"the part {name!r} cannot be read: {error}") from error


def _view(arrays: memoryview, extent: Extent) -> npt.NDArray[Any]:
    count = math.prod(extent.shape)
    return np.frombuffer(arrays, np.dtype(extent.dtype), count, extent.start).reshape(extent.shape)


def _line(size: int) -> int:
    return -(-size // LINE) * LINE
