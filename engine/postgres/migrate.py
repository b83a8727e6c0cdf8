"""Numbered migrations from the package `sql`: in order, one transaction each, never edited once applied."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

import asyncpg

from engine.errors import ServerError
from engine.log.keys import PARTITION_HASH, PARTITIONS
from engine.postgres import queries
from engine.postgres.pool import connect, require_durable
from engine.settings import Settings

OLDEST_SERVER = 15

_LOCK = 0x43616E646C65  # "Candle": one migrating process at a time, whatever its machine
_TIMEOUT_S = 600.0  # a migration may rewrite a large table, and another process wait for it
_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True)
class Migration:
    """One file of sql/migrations."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> bytes:
        """sha256 of the text."""
        return hashlib.sha256(self.sql.encode()).digest()


def available() -> list[Migration]:
    """The migrations of this version, by number; raise `ServerError` on a bad name or a number used twice."""
    found = []
    for file in (resources.files("sql") / "migrations").iterdir():
        if file.name.endswith(".sql"):
            match = _NAME.fullmatch(file.name)
            if match is None:
                raise ServerError(f"sql/migrations/{file.name} is not named NNNN_words.sql")
            found.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    for one, next_one in itertools.pairwise(found):
        if one.number == next_one.number:
            raise ServerError(f"two migrations have the number {one.number}")
    return found


async def migrate(settings: Settings, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """Bring the database up to this version; returns what was applied now.

    Raises `ServerError` when an applied migration was edited or is unknown here, when the database was made
    with other partitions or another hash, when the server is too old or may lose acknowledged data.
    """
    connection = await connect(settings, command_timeout_s=_TIMEOUT_S)
    try:
        await require_version(connection)
        await require_durable(connection)
        async with _alone(connection):
            await queries.migrate.make_roles(connection)
            await queries.migrate.make_table(connection)
            todo = await pending(connection, available() if migrations is None else migrations)
            for migration in todo:
                await _apply(connection, migration)
            await require_same_partitions(connection)
            return todo
    finally:
        await connection.close()


async def pending(connection: Any, migrations: Sequence[Migration]) -> list[Migration]:
    """Migrations not applied yet; raise `ServerError` when the applied ones are not a prefix of ours."""
    if await queries.migrate.is_new(connection):
        return list(migrations)
    rows = [row async for row in queries.migrate.applied(connection)]
    ours = {migration.number: migration for migration in migrations}
    for row in rows:
        known = ours.get(row["number"])
        if known is None:
            raise ServerError(
                f"the database has migration {row['number']:04}_{row['name']}, unknown to this version: "
                "run the newer version of Candlemaker"
            )
        if known.digest != row["sha256"]:
            raise ServerError(
                f"sql/migrations/{known.number:04}_{known.name}.sql was edited after it was applied: "
                "restore it and write a new migration"
            )
    last = rows[-1]["number"] if rows else -1
    todo = [migration for migration in migrations if migration.number not in {row["number"] for row in rows}]
    if todo and todo[0].number < last:
        raise ServerError(
            f"migration {todo[0].number:04} is older than {last:04}, which is applied already: renumber it"
        )
    return todo


async def require_same_partitions(connection: Any) -> None:
    """Raise `ServerError` when the database counts customers into other partitions than this code."""
    stored = {row["name"]: row["value"] async for row in queries.migrate.partitioning(connection)}
    ours = {"partitions": str(PARTITIONS), "partition_hash": PARTITION_HASH}
    if stored != ours:
        raise ServerError(f"the database was made with {stored}, this version uses {ours}: they cannot work together")


async def require_version(connection: Any) -> None:
    """Raise `ServerError` on a PostgreSQL older than 15 (it lacks UNIQUE NULLS NOT DISTINCT)."""
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        raise ServerError(f"PostgreSQL {version.major} is too old: Candlemaker needs {OLDEST_SERVER} or newer")


@asynccontextmanager
async def _alone(connection: Any) -> AsyncIterator[None]:
    await queries.migrate.lock(connection, key=_LOCK)
    try:
        yield
    finally:
        if not connection.is_closed():
            await queries.migrate.unlock(connection, key=_LOCK)


async def _apply(connection: Any, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await queries.migrate.record(
                connection, number=migration.number, name=migration.name, sha256=migration.digest
            )
    except asyncpg.PostgresError as error:
        raise ServerError(
            f"migration {migration.number:04}_{migration.name} failed and left no trace: {error}"
        ) from error
