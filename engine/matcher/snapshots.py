"""Snapshots: one matcher compiles what changed into files named by their digest; all of them map those files.

A file is written aside, synced and renamed before the row that names it is committed, so a named file is complete.
"""

from __future__ import annotations

import asyncio
import gc
import mmap
import os
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import asyncpg
import msgspec
import structlog

from engine.clock import Clock
from engine.log.entries import Entry, Switch
from engine.matcher.progress import Progress
from engine.postgres import queries
from geo.index import FenceIndex
from offers.applied import applied
from offers.campaign import Campaign
from offers.catalogue import AreaRow, CampaignRow, Catalogue, ProductRow, StoreRow
from offers.codec import PARTS, decode, digest, encode
from offers.compile import Lookup, compile_snapshot, lookup
from offers.delta import Delta, delta
from offers.delta import decode as decode_delta
from offers.delta import encode as encode_delta
from offers.errors import BrokenSnapshot
from offers.places import with_areas
from offers.snapshot import Snapshot

log = structlog.get_logger()

COMPILERS = 2
"""Threads: one core stays busy with the matcher itself."""
PAGE = 2_000
"""Rows a round trip where there may be very many."""
MOST_CHANGED = 2_000
"""Campaigns in a delta; beyond, all are compiled anew."""
DELTA = "delta"
RECOMPILE_AFTER_MS = 24 * 3600 * 1000
"""Compiled opening hours reach eight days ahead; a daily compile keeps them far from their end."""


class Snapshots:
    """Builds, publishes and loads. `loaded` maps revision → snapshot, the newest few."""

    def __init__(self, pool: asyncpg.Pool, folder: Path, clock: Clock) -> None:
        self._pool = pool
        self.folder = folder
        self._clock = clock
        self.loaded: dict[int, Snapshot] = {}
        self.newest = 0
        self._compiled_here = 0, Snapshot.empty()
        self._bases: dict[tuple[str, ...], Snapshot] = {}
        self._lookup: tuple[Snapshot, Lookup] | None = None
        """What campaigns of the base may name; a change of that is a new base. Areas are read for each delta."""
        self._unreadable = 0
        """A published revision whose parts are gone, or those of another version of this program."""

    async def compile_if_changed(self) -> None:
        """Compile and publish when the catalogue changed, or the last compile is a day old."""
        async with self._pool.acquire() as connection:
            if await queries.snapshots.any_due(connection):
                await queries.snapshots.start_due(connection)
                await queries.snapshots.end_due(connection)
            if not await queries.snapshots.any_changes(connection) and not await self._is_old(connection):
                return
            async with connection.transaction(isolation="repeatable_read"):
                if not await queries.snapshots.only_one_compiles(connection):
                    return
                await queries.snapshots.take_time(connection)
                changes = await queries.snapshots.take_changes(connection)
                old, only = await self._is_old(connection), changes["only"]
                if old or (changes["n"] and not await self._compile_only(connection, only)):
                    await self._compile(connection)

    async def refresh(self) -> int:
        """Load the newest published snapshot; answer its revision (0: there is none yet)."""
        row = await queries.snapshots.latest(self._pool)
        if row is not None and row["revision"] not in (self.newest, self._unreadable):
            revision: int = row["revision"]
            try:
                self.loaded[revision] = await self._found(revision, row["manifest"])
            except (BrokenSnapshot, FileNotFoundError) as error:
                self._unreadable = revision  # until then the one before stays; a new one is compiled
                log.warning("snapshot.unreadable", revision=revision, why=str(error))
                return self.newest
            self.newest = revision
            gc.freeze()  # hundreds of thousands of objects that stay: the collector need not look through them
            for old in sorted(self.loaded)[:-4]:
                del self.loaded[old]
        return self.newest

    async def at(self, revision: int) -> Snapshot | None:
        """The snapshot of *revision*, or None when its row or files are gone."""
        if revision not in self.loaded:
            row = await queries.snapshots.by_revision(self._pool, revision=revision)
            if row is None:
                return None
            try:
                self.loaded[revision] = await self._load(row["manifest"])
            except (BrokenSnapshot, FileNotFoundError):
                return None
        return self.loaded[revision]

    async def known(self, entries: Sequence[Entry]) -> Mapping[int, Snapshot]:
        """What is loaded and what the switches among *entries* name; one that is gone is passed over by `step`."""
        named = {entry.payload.revision for entry in entries if isinstance(entry.payload, Switch)}
        found = {revision: await self.at(revision) for revision in named - self.loaded.keys()}
        return self.loaded | {revision: one for revision, one in found.items() if one is not None}

    async def _is_old(self, connection: asyncpg.Connection) -> bool:
        row = await queries.snapshots.latest(connection)
        if row is None or row["revision"] == self._unreadable:
            return True
        age_ms = self._clock.now_ms() - row["built_at"].timestamp() * 1000
        return bool(age_ms > RECOMPILE_AFTER_MS)

    async def _compile(self, connection: asyncpg.Connection) -> None:
        catalogue = await read_catalogue(connection)
        snapshot = await asyncio.to_thread(self._compiled, catalogue)
        parts = await asyncio.to_thread(encode, snapshot)
        self._lookup = None
        await self._publish(connection, {name: digest(content) for name, content in parts.items()}, parts, snapshot)

    async def _compile_only(self, connection: asyncpg.Connection, changed: list[int] | None) -> bool:
        """A delta to the last compile, when only these campaigns changed since; whether that was enough."""
        latest = await queries.snapshots.latest(connection)
        if changed is None or latest is None:
            return False
        try:
            base = await self._base(latest["manifest"])
            before = self._delta_of(latest["manifest"])
        except (BrokenSnapshot, FileNotFoundError):
            return False
        ids = {*changed, *(before.changed if before is not None else ())}
        if len(ids) > MOST_CHANGED:
            return False
        if not ids:
            return True
        rows = [_row(row) async for row in queries.snapshots.campaigns_now(connection, campaigns=list(ids))]
        sources = await self._sources(connection, base, rows)
        left_out = {one.campaign for one in base.skipped}
        spoken_of = {row.id for row in rows} | {one for one in ids if one in base.by_id or one in left_out}
        change = await asyncio.to_thread(delta, base, spoken_of, rows, sources)
        if change is None:
            return False
        part = encode_delta(change)
        manifest = {name: latest["manifest"][name] for name in PARTS} | {DELTA: digest(part)}
        if latest["manifest"] != manifest:  # else a draft changed, say, and nothing that is live
            snapshot = await asyncio.to_thread(applied, base, change)
            await self._publish(connection, manifest, {DELTA: part}, snapshot)
        return True

    async def _sources(self, connection: asyncpg.Connection, base: Snapshot, rows: Sequence[CampaignRow]) -> Lookup:
        """What *rows* may name, with the areas that they do."""
        if self._lookup is None or self._lookup[0] is not base:
            self._lookup = base, lookup(await read_catalogue(connection, only_places=True))
        places, products = self._lookup[1]
        named = [(row.retailer, code) for row in rows for code in row.spec.drawn]
        if not named:
            return places, products
        retailers, codes = ([one[k] for one in named] for k in (0, 1))
        read = queries.snapshots.areas_named(connection, retailers=retailers, codes=codes)
        return with_areas(places, [AreaRow(**dict(row)) async for row in read]), products

    async def _publish(
        self, connection: asyncpg.Connection, manifest: dict[str, str], parts: dict[str, bytes], snapshot: Snapshot
    ) -> None:
        latest = await queries.snapshots.latest(connection)
        if latest is not None and latest["manifest"] == manifest and latest["revision"] != self._unreadable:
            return
        for name, content in parts.items():
            await asyncio.to_thread(_write, self.folder / manifest[name], content)
        revision = await queries.snapshots.publish(connection, manifest=manifest)
        self._compiled_here = revision, snapshot
        log.info("snapshot.published", revision=revision, campaigns=len(snapshot.campaigns), parts=manifest)

    def _compiled(self, catalogue: Catalogue) -> Snapshot:
        with ThreadPoolExecutor(COMPILERS, thread_name_prefix="compiler") as pool:
            build = partial(FenceIndex.build, each=pool.map, told=Progress(self._clock))
            return compile_snapshot(catalogue, self._clock.now_ms(), build)

    async def _found(self, revision: int, manifest: dict[str, str]) -> Snapshot:
        """What this process compiled itself need not be decoded: it is the same, byte for byte."""
        mine, snapshot = self._compiled_here
        self._compiled_here = 0, Snapshot.empty()
        if mine != revision:
            return await self._load(manifest)
        if DELTA not in manifest:
            self._bases = {_base_of(manifest): snapshot}
        return snapshot

    async def _load(self, manifest: dict[str, str]) -> Snapshot:
        base, change = await self._base(manifest), self._delta_of(manifest)
        return base if change is None else await asyncio.to_thread(applied, base, change)

    async def _base(self, manifest: dict[str, str]) -> Snapshot:
        """The compile that a manifest rests on; the last one is kept, for its deltas."""
        key = _base_of(manifest)
        if key not in self._bases:
            parts = {name: _map(self.folder / manifest[name]) for name in PARTS}
            self._bases = {key: await asyncio.to_thread(decode, parts)}
        return self._bases[key]

    def _delta_of(self, manifest: dict[str, str]) -> Delta | None:
        return decode_delta(_map(self.folder / manifest[DELTA])) if DELTA in manifest else None


def _base_of(manifest: dict[str, str]) -> tuple[str, ...]:
    try:
        return tuple(manifest[name] for name in PARTS)
    except KeyError as error:
        raise BrokenSnapshot(f"a snapshot lacks the part {error}") from None


def _row(row: asyncpg.Record) -> CampaignRow:
    return CampaignRow(row["id"], row["retailer"], _spec(row["spec"]), row["first"])


async def read_catalogue(connection: asyncpg.Connection, *, only_places: bool = False) -> Catalogue:
    """Everything a compile needs, in one read of *connection*'s transaction; *only_places*: stores and products."""
    read = queries.snapshots
    stores = [StoreRow(**dict(row)) async for row in read.live_stores(connection)]
    products = [ProductRow(**dict(row)) async for row in read.products(connection)]
    if only_places:
        return Catalogue(stores, products, [])
    live = [_row(row) async for row in connection.cursor(read.live_campaigns.sql, prefetch=PAGE)]
    areas = [AreaRow(**dict(row)) async for row in read.areas(connection)]
    return Catalogue(stores, products, live, areas)


_spec = msgspec.json.Decoder(Campaign).decode
"""Of the column as text: to decode it twice, by the session and into a `Campaign`, takes five times as long."""


def _write(path: Path, content: bytes) -> None:
    """Under the digest of *content*; what stands there already, but is damaged, is replaced."""
    if path.exists() and digest(_map(path)) == path.name:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)


def _map(path: Path) -> memoryview:
    """The file's bytes, read-only, shared with every process that maps it."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
