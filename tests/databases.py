"""Databases that live as long as one fixture, each a copy of another."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from engine.postgres.pool import connect
from engine.settings import Settings


@contextlib.contextmanager
def copied(servers: Settings, template: str = "template1") -> Iterator[str]:
    """Address of a copy of the database *template*, dropped afterwards.

    It is copied as files: PostgreSQL's other way writes every page into its log, and takes three times as long for
    databases as small as ours."""
    name = f"candlemaker_test_{secrets.token_hex(6)}"
    in_thread(_run(servers, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    try:
        yield urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}"))
    finally:
        in_thread(_run(servers, f"DROP DATABASE {name} WITH (FORCE)"))


def name_of(database_url: str) -> str:
    """What `copied` takes as a template."""
    return urlsplit(database_url).path.lstrip("/")


def in_thread(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine from a plain fixture without touching the test's own event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _run(servers: Settings, sql: str) -> None:
    connection = await connect(servers)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
