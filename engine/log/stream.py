"""The owner's side of the log: read many partitions at once, append its own entries, check that nothing was lost."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from redis.asyncio import Redis

from engine.errors import ServerError
from engine.log.entries import Entry, EntryKind, Payload, decode, encode
from engine.log.keys import checkpoint_key, entry_id, head_key, log_key, meta_key, position_ms, position_of, staged_key
from engine.log.valkey import ResponseError, load_functions, owned, says_unloaded


@dataclass(frozen=True)
class LogStatus:
    """What the server says of a partition's log."""

    epoch: str
    last: int
    trimmed: int


class OwnEntry(NamedTuple):
    """An entry the partition's owner writes into the log it knows by *log_epoch*."""

    p: int
    log_epoch: str
    kind: EntryKind
    payload: Payload = None


class Log:
    """All partitions' logs on one server. *offset_ms* is added to entry times (the engine's one clock offset)."""

    def __init__(self, client: Redis, *, offset_ms: int) -> None:
        self._client = client
        self._offset_ms = offset_ms

    async def read(self, after: Mapping[int, int], *, count: int, block_ms: int) -> dict[int, list[Entry]]:
        """Entries behind each partition's position, at most *count* each; waits up to *block_ms* for the first."""
        if not after:
            return {}
        names = {log_key(p).encode(): p for p in after}
        streams = {log_key(p): entry_id(position) for p, position in after.items()}
        answer = await self._client.xread(streams, count=count, block=block_ms)  # type: ignore[arg-type]  # stubs
        found: dict[int, list[Entry]] = {}
        for name, pages in _pairs(answer):
            found[names[name]] = [self._entry(raw_id, fields) for page in pages for raw_id, fields in page]
        return found

    async def append(self, entries: Sequence[OwnEntry]) -> list[int]:
        """Append entries of the owner's in one go; the bound is for traffic, not for the owner.

        Answers the partitions whose log, under the name the owner knows it by, is not there any more."""
        pipe = self._client.pipeline(transaction=False)
        for entry in entries:
            arguments = (0, entry.kind.value, encode(entry.payload), entry.log_epoch)
            pipe.fcall("candlemaker_append", 2, log_key(entry.p), meta_key(entry.p), *arguments)
        lost: list[int] = []
        for entry, answer in zip(entries, await pipe.execute(raise_on_error=False), strict=True):
            if isinstance(answer, Exception):
                if not _says_lost(answer):
                    raise answer
                lost.append(entry.p)
        return lost

    async def prepare(self) -> None:
        """Put the log's functions into the server, which may have come back empty."""
        await load_functions(self._client)

    async def rewrite(self) -> None:
        """Let the server rewrite its append-only file, so that trimmed positions leave the disk too.

        A server that keeps no such file, or is not ours to ask, says no: then its operator decides."""
        with contextlib.suppress(ResponseError):
            await self._client.bgrewriteaof()

    async def status(self, p: int) -> LogStatus:
        """Epoch ('' where there is no log), last entry ever written, position up to which entries were trimmed."""
        named, kept = await self._client.hmget(meta_key(p), ["epoch", "kept"])
        epoch = named.decode() if isinstance(named, bytes) else ""
        if not await self._client.exists(log_key(p)):
            return LogStatus(epoch, 0, 0)
        info = await self._client.xinfo_stream(log_key(p))
        trimmed = position_of(kept) - 1 if kept is not None else 0
        return LogStatus(epoch, position_of(info["last-generated-id"]), trimmed)

    async def open(self, p: int, owner_epoch: int, log_epoch: str) -> None:
        """Begin a new, empty log named *log_epoch*, and forget the checkpoint of the old one. Zombie: a later owner has
        claimed the partition, and its log is not ours to replace."""
        keys = (head_key(p), log_key(p), meta_key(p), checkpoint_key(p), staged_key(p))
        await owned(self._client.fcall("candlemaker_open", len(keys), *keys, owner_epoch, log_epoch))

    def _entry(self, raw_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
        position = position_of(raw_id)
        kind = EntryKind(fields[b"k"].decode())
        log_ms = position_ms(position) + self._offset_ms
        try:
            return Entry(position, log_ms, kind, decode(kind, fields[b"v"]))
        except (ValueError, KeyError) as error:
            raise ServerError(f"log entry {raw_id.decode()} does not decode: {error}") from error


def _pairs(answer: object) -> Sequence[tuple[bytes, list[list[tuple[bytes, dict[bytes, bytes]]]]]]:
    """XREAD's answer in either protocol as (stream, pages of entries)."""
    if isinstance(answer, dict):  # RESP3
        return [(name, pages) for name, pages in answer.items()]
    return [(name, [page]) for name, page in answer or []]  # type: ignore[attr-defined]  # RESP2: a list of pairs


def _says_lost(error: Exception) -> bool:
    """No log of that name, or a server that came back without our functions and so without our data."""
    return says_unloaded(error) or (isinstance(error, ResponseError) and str(error).startswith("NOLOG"))
