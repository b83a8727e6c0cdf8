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
from offers.campaign import Campaign
from offers.catalogue import AreaRow, CampaignRow, Catalogue, ProductRow, StoreRow
from offers.codec import decode, digest, encode
from offers.compile import compile_snapshot
from offers.errors import BrokenSnapshot
from offers.snapshot import Snapshot

log = structlog.get_logger()

COMPILERS = 2
"""Threads: one core stays busy with the matcher itself."""
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
        self._unreadable = 0
        """A published revision whose parts are gone, or those of another version of this program."""

    async def compile_if_changed(self) -> None:
        """Compile and publish when the catalogue changed, or the last compile is a day old."""
        async with self._pool.acquire() as connection:
            if await queries.snapshots.any_due(connection):
                await queries.snapshots.start_due(connection)
                await queries.snapshots.end_due(connection)
            async with connection.transaction(isolation="repeatable_read"):
                if not await queries.snapshots.only_one_compiles(connection):
                    return
                await queries.snapshots.take_time(connection)
                changes = await queries.snapshots.take_changes(connection)
                if changes or await self._is_old(connection):
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
        manifest = {name: digest(content) for name, content in parts.items()}
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
        return snapshot if mine == revision else await self._load(manifest)

    async def _load(self, manifest: dict[str, str]) -> Snapshot:
        parts = {name: _map(self.folder / file) for name, file in manifest.items()}
        return await asyncio.to_thread(decode, parts)


async def read_catalogue(connection: asyncpg.Connection) -> Catalogue:
    """Everything a compile needs, as one consistent read of *connection*'s transaction."""
    read = queries.snapshots
    stores = [StoreRow(**dict(row)) async for row in read.live_stores(connection)]
    products = [ProductRow(**dict(row)) async for row in read.products(connection)]
    campaigns = [
        CampaignRow(row["id"], row["retailer"], _spec(row["spec"]), row["first"])
        async for row in read.live_campaigns(connection)
    ]
    areas = [AreaRow(**dict(row)) async for row in read.areas(connection)]
    return Catalogue(stores, products, campaigns, areas)


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
