"""API keys: `cm_<scope>_<8 readable>_<43 random><6 checksum>`, stored as sha256, shown once.

The checksum tells a mistyped key, or one that a scanner of secrets found in a text, without asking the database. A key
is changed by a successor of the same line: the two are live side by side until the old one is revoked or expires.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import string
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from engine.embedded.home import open_folder
from engine.embedded.secrets import write_private
from engine.errors import SettingError
from engine.postgres import queries
from engine.postgres.pool import ENGINE, connect
from engine.settings import Settings

KeyScope = Literal["admin", "app", "retailer", "till"]
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)

_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"  # no i, l, o, 0, 1: prefixes are read aloud
_BASE_62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
CHECKSUM = 6
CACHE_S = 4.0
MOST_CACHED = 10_000


class ApiKey(msgspec.Struct, frozen=True):
    """A key as the door knows it."""

    id: int
    scope: KeyScope
    retailer: int | None


@dataclass(frozen=True)
class NewKey:
    """A key just made; `text` is shown once and never again."""

    id: int
    prefix: str
    text: str = field(repr=False)


def mint(scope: KeyScope) -> str:
    """A new key's text: 256 random bits behind a readable name."""
    name = "".join(secrets.choice(_READABLE) for _ in range(8))
    text = f"cm_{scope}_{name}_{secrets.token_urlsafe(32)}"
    return text + checksum(text)


def checksum(text: str) -> str:
    """Six letters and digits: CRC-32 of all before them, in base 62."""
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM):
        number, digit = divmod(number, 62)
        digits += _BASE_62[digit]
    return digits


def is_whole(text: str) -> bool:
    """Whether *text* is a key as `mint` makes them; says nothing about whether anybody has it."""
    parts = text.split("_", 3)
    if len(parts) != 4 or parts[0] != "cm" or parts[1] not in SCOPES or len(parts[3]) != 43 + CHECKSUM:
        return False
    return checksum(text[:-CHECKSUM]) == text[-CHECKSUM:]


def digest(text: str) -> bytes:
    """What is stored of a key. The key is random, so a fast hash is enough."""
    return hashlib.sha256(text.encode()).digest()


def prefix_of(text: str) -> str:
    """The readable part."""
    return "_".join(text.split("_")[:3])


async def create_key(connection: Any, scope: KeyScope, retailer: int | None, name: str) -> NewKey:
    """Store a new key (as `candlemaker_engine`); raises asyncpg's violation when scope and retailer disagree."""
    return await store_key(connection, mint(scope), retailer, name)


async def store_key(connection: Any, text: str, retailer: int | None, name: str) -> NewKey:
    """Store the key *text*; nothing happens when it is stored already."""
    prefix = prefix_of(text)
    number = await queries.keys.insert_key(
        connection,
        prefix=prefix,
        hash=digest(text),
        scope=text.split("_")[1],
        retailer=retailer,
        name=name,
    )
    return NewKey(number, prefix, text)


async def rotate_key(connection: Any, key: int, grace_s: int | None) -> NewKey | None:
    """A successor of the live key *key*, which itself ends after *grace_s* (None: when it is revoked). None when there
    is no such live key; raises asyncpg's violation when its line has two live keys already."""
    row = await queries.keys.lock_line(connection, id=key)
    if row is None:
        return None
    text = mint(row["scope"])
    slots = [row["slot"] async for row in queries.keys.live_slots(connection, family=row["family"])]
    free = next((slot for slot in (1, 2) if slot not in slots), 2)
    number = await queries.keys.insert_successor(
        connection, prefix=prefix_of(text), hash=digest(text), of=key, family=row["family"], slot=free
    )
    if grace_s is not None:
        await queries.keys.expire_key(connection, id=key, seconds=grace_s)
    return NewKey(number, prefix_of(text), text)


async def list_keys(connection: Any) -> list[dict[str, Any]]:
    """Every key without its secret, as `keys.sql` lists them, by id."""
    return [dict(row) async for row in queries.keys.list_keys(connection, after=0, most=10_000)]


async def revoke_key(connection: Any, key: int) -> bool:
    """Whether a key of this id existed; every API process refuses it within `CACHE_S`."""
    return await queries.keys.revoke_key(connection, id=key) is not None


async def ensure_admin_key(settings: Settings) -> Path:
    """Make `<data>/admin.key` (0600) once and store its key; answers the path.

    A database that does not know the file's key (a fresh one) learns it, unless it was revoked.
    """
    path = open_folder(settings.data) / "admin.key"
    if not await asyncio.to_thread(path.exists):
        await asyncio.to_thread(write_private, path, mint("admin").encode() + b"\n", replace=False)
    text = (await asyncio.to_thread(path.read_text)).strip()
    if not is_whole(text) or not text.startswith("cm_admin_"):
        raise SettingError(f"{path} does not hold an admin key; remove it and start again")
    connection = await connect(settings, ENGINE)
    try:
        await store_key(connection, text, None, "admin.key of the data folder")
    finally:
        await connection.close()
    return path


class KeyRing:
    """Keys by their text, remembered for at most `CACHE_S`; unknown ones too, so that guessing costs no query twice."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._known: dict[bytes, tuple[ApiKey | None, float]] = {}
        self._asking: dict[bytes, asyncio.Task[ApiKey | None]] = {}

    async def find(self, text: bytes, now_s: float) -> ApiKey | None:
        """The unrevoked key of this text; *now_s* is a monotonic reading."""
        hashed = hashlib.sha256(text).digest()
        known = self._known.get(hashed)
        if known is not None and now_s - known[1] < CACHE_S:
            return known[0]
        return await self._ask(hashed, now_s)

    def forget(self) -> None:
        """After a key was revoked here."""
        self._known.clear()

    async def _ask(self, hashed: bytes, now_s: float) -> ApiKey | None:
        """One query however many requests wait for the same key."""
        task = self._asking.get(hashed)
        if task is None:
            task = self._asking[hashed] = asyncio.create_task(self._load(hashed, now_s))
            task.add_done_callback(lambda _: self._asking.pop(hashed, None))
        return await asyncio.shield(task)

    async def _load(self, hashed: bytes, now_s: float) -> ApiKey | None:
        async with self._pool.acquire() as connection:
            row = await queries.keys.find_key(connection, hash=hashed)
        key = ApiKey(row["id"], row["scope"], row["retailer"]) if row is not None else None
        if len(self._known) >= MOST_CACHED:
            self._known.clear()
        self._known[hashed] = (key, now_s)
        return key
