"""Presence as bytes, a chunk of CHUNK_ROWS rows at a time, readable whatever index is in force then.

Little-endian: header, then the body: bool[CHUNK_ROWS] as bits, which rows have a fix; ROW[rows]; i8[fences],
stable ids of the fences visited, ascending; STAY[stays], ordered by (row, fence); WEIGHED[weighed], of the few stays
that are claims or in doubt. A body that would not fit is deflated. The header's CRC-32 is the stored body's.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from geo.arrays import Flags, Longs, Records, frozen
from geo.errors import CheckpointError
from geo.index import FenceIndex
from geo.kernels import kernel
from geo.presence import Presence
from geo.records import CHUNK_ROWS, NEVER, NOBODY, VISIT, Work
from geo.visits import open_visit, with_room

CHUNK_BYTES = 256 * 1024
_MAGIC = b"CMP2"
_HEADER = struct.Struct("<4s7I")
"""Magic with version, deflated (0 or 1), chunk, rows, fences, stays, weighed, CRC-32."""
_BITS = CHUNK_ROWS // 8
ROW = np.dtype([("lat", "<f8"), ("lng", "<f8"), ("at_ms", "<i8"), ("accuracy_m", "<f4")])
STAY = np.dtype([("row", "<u2"), ("fence", "<u4"), ("since_ms", "<i8"), ("last_ms", "<i8"), ("dwelt_s", "<i4")])
WEIGHED = np.dtype([("stay", "<u4"), ("turned_ms", "<i8"), ("weighed_ms", "<i4"), ("begun", "<i4")])
_DEFLATE_LEVEL = 1
Counts = tuple[int, int, int, int]
"""Rows, fences, stays, weighed."""


def pack(presence: Presence, index: FenceIndex, chunk: int) -> bytes:
    """The chunk's fixes and visits, at most CHUNK_BYTES long; raises `CheckpointError` when even deflated it
    is longer.

    28 bytes a row with a fix and 26 a visit: eight visits a row fit as they are, a few times as many
    deflated.
    """
    first = chunk * CHUNK_ROWS
    rows = presence.customers[first : first + CHUNK_ROWS]
    known = rows["at_ms"] != NEVER
    visits = presence.pool[presence.slots(first, first + CHUNK_ROWS)]
    fences, which = np.unique(index.fence[visits["fence"]], return_inverse=True)
    stays = _copied(visits, STAY, ("since_ms", "last_ms", "dwelt_s"))
    stays["row"], stays["fence"] = visits["row"] - first, which
    bits = np.packbits(known, bitorder="little").tobytes().ljust(_BITS, b"\0")
    fixes = _copied(rows[known], ROW, ROW.names or ())
    which = np.flatnonzero((visits["weighed_ms"] != 0) | (visits["begun"] == 0))
    weighed = _copied(visits[which], WEIGHED, ("turned_ms", "weighed_ms", "begun"))
    weighed["stay"] = which
    body = bits + fixes.tobytes() + fences.astype("<i8").tobytes() + stays.tobytes() + weighed.tobytes()
    return _sealed(chunk, (len(fixes), len(fences), len(stays), len(weighed)), body)


def unpack(presence: Presence, index: FenceIndex, chunk: int, data: bytes) -> None:
    """Replace the chunk's rows by what *data* holds; visits in fences the index does not know are dropped.

    Raises `CheckpointError`, *presence* unchanged, when the bytes are not what `pack` wrote for this chunk.
    The chunk becomes dirty only if a visit was dropped.
    """
    counts, body = _opened(chunk, data)
    known, fixes, fences, stays, weighed = _parts(counts, body)
    first = chunk * CHUNK_ROWS
    presence.reserve(first + CHUNK_ROWS)
    _wipe(presence, first)
    rows = presence.customers[first : first + CHUNK_ROWS]
    for name in ROW.names or ():
        rows[name][known] = fixes[name]
    positions = index.position_of(fences)[stays["fence"]]
    kept = positions != NOBODY
    stays["fence"][kept] = positions[kept]
    work = with_room(presence.work(), int(kept.sum()), 0)
    _reopen(work, first, frozen(_whole(stays, weighed)[kept], VISIT))
    presence.settle(work)
    presence.dirty[chunk] = not kept.all()


def _copied(records: Records, dtype: np.dtype[np.void], names: tuple[str, ...]) -> Records:
    copy = np.zeros(len(records), dtype)
    for name in names:
        copy[name] = records[name]
    return copy


def _whole(stays: Records, weighed: Records) -> Records:
    """VISIT[stays] without `next`."""
    visits = _copied(stays, VISIT, STAY.names or ())
    visits["turned_ms"], visits["begun"] = visits["since_ms"], 1
    for name in ("turned_ms", "weighed_ms", "begun"):
        visits[name][weighed["stay"]] = weighed[name]
    return visits


def _sealed(chunk: int, counts: Counts, body: bytes) -> bytes:
    """Header and body, deflated if need be."""
    deflated = _HEADER.size + len(body) > CHUNK_BYTES
    if deflated:
        body = zlib.compress(body, _DEFLATE_LEVEL)
    data = _HEADER.pack(_MAGIC, deflated, chunk, *counts, zlib.crc32(body)) + body
    if len(data) > CHUNK_BYTES:
        raise CheckpointError(f"chunk {chunk} with {counts[2]} visits takes {len(data)} bytes, more than {CHUNK_BYTES}")
    return data


def _opened(chunk: int, data: bytes) -> tuple[Counts, bytes]:
    """(counts, body) of `_sealed` bytes."""
    if len(data) < _HEADER.size or data[: len(_MAGIC)] != _MAGIC:
        raise CheckpointError("these bytes are not a chunk of presence in a version this program reads")
    _, deflated, of_chunk, *counts, checksum = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if zlib.crc32(body) != checksum:
        raise CheckpointError(f"the bytes of chunk {of_chunk} are damaged")
    if of_chunk != chunk:
        raise CheckpointError(f"these bytes are chunk {of_chunk}, not chunk {chunk}")
    rows, fences, stays, weighed = counts
    return (rows, fences, stays, weighed), zlib.decompress(body) if deflated else body


def _parts(counts: Counts, body: bytes) -> tuple[Flags, Records, Longs, Records, Records]:
    """(bool[CHUNK_ROWS], ROW[], i8[], STAY[], WEIGHED[]); the stays are writable."""
    rows, fences, stays, weighed = counts
    known = np.unpackbits(np.frombuffer(body, np.uint8, _BITS), bitorder="little").astype(np.bool_)
    at = _BITS
    fixes = np.frombuffer(body, ROW, rows, at)
    at += fixes.nbytes
    ids = np.frombuffer(body, "<i8", fences, at)
    at += ids.nbytes
    visits = np.frombuffer(body, STAY, stays, at).copy()
    return known, fixes, ids, visits, np.frombuffer(body, WEIGHED, weighed, at + visits.nbytes)


def _wipe(presence: Presence, first: int) -> None:
    """Empty the chunk's rows, without transitions."""
    for row in range(first, first + CHUNK_ROWS):
        if presence.position(row) is not None:
            presence.forget(row)


@kernel
def _reopen(work: Work, first_row: int, stays: Records) -> None:
    """Open the visits of VISIT[n], ordered by (row, fence), whose `fence` is a position already, in rows
    without visits.
    """
    row, after = NOBODY, NOBODY
    for stay in stays:
        if stay["row"] != row:
            row, after = stay["row"], NOBODY
        after = open_visit(work, first_row + row, after, stay["fence"], stay["since_ms"])
        visit = work.visits[after]
        visit["last_ms"], visit["dwelt_s"] = stay["last_ms"], stay["dwelt_s"]
        visit["turned_ms"], visit["weighed_ms"], visit["begun"] = stay["turned_ms"], stay["weighed_ms"], stay["begun"]
