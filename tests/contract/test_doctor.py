"""What the doctor says of each thing that can be wrong."""

import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis

from engine.doctor import doctor, examine
from engine.embedded.secrets import load_secrets
from engine.log.keys import meta_key
from engine.postgres.pool import ENGINE, connect
from engine.settings import Settings


@pytest.fixture
async def cache(settings: Settings) -> AsyncIterator[Any]:
    client = redis.Redis.from_url(settings.redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Any]:
    session = await connect(settings)
    yield session
    await session.close()


async def said(settings: Settings, verdict: str) -> str:
    """All sentences of a verdict."""
    return "\n".join([finding.says async for finding in examine(settings) if finding.verdict == verdict])


async def test_a_healthy_place_has_no_problem(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert await said(settings, "problem") == ""
    assert await doctor(settings) == 0
    for line in capsys.readouterr().out.splitlines():
        assert line.split()[0] in {"ok", "warning"}
    fine = await said(settings, "ok")
    for words in ("PostgreSQL", "Valkey", "all migrations are applied", "same 16 partitions", "append-only"):
        assert words in fine


async def test_servers_that_do_not_answer_are_both_named(settings: Settings) -> None:
    gone = replace(settings, database_url="postgresql://me:hunter2@127.0.0.1:1/x", redis_url="redis://127.0.0.1:2/0")
    problems = await said(gone, "problem")
    assert "PostgreSQL at 127.0.0.1:1/x" in problems
    assert "Valkey at 127.0.0.1:2/0" in problems
    assert "hunter2" not in problems
    assert await doctor(gone) == 1


async def test_an_empty_database_is_a_warning(settings: Settings, empty_database_url: str) -> None:
    assert "migrations to apply: 0001_" in await said(replace(settings, database_url=empty_database_url), "warning")


async def test_other_partitions_are_a_problem(settings: Settings, database: Any) -> None:
    await database.execute("UPDATE meta SET value = '32' WHERE name = 'partitions'")
    assert "they cannot work together" in await said(settings, "problem")


async def test_a_database_that_may_lose_data_is_a_problem(settings: Settings, database: Any) -> None:
    name = await database.fetchval("SELECT current_database()")
    await database.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    assert "synchronous_commit = off" in await said(settings, "problem")


async def test_partitions_without_owner_are_counted(settings: Settings) -> None:
    assert "16 of 16 partitions have no owner" in await said(settings, "warning")
    owner = await connect(settings, ENGINE)
    await owner.execute("SELECT pg_advisory_lock(hashtext('candlemaker.partition'), p) FROM partition WHERE p < 15")
    assert "1 of 16 partitions have no owner" in await said(settings, "warning")
    await owner.execute("SELECT pg_advisory_lock(hashtext('candlemaker.partition'), 15)")
    assert "all 16 partitions have an owner" in await said(settings, "ok")
    await owner.close()


async def test_a_lost_log_is_named(settings: Settings, database: Any, cache: Any) -> None:
    await database.execute("UPDATE partition SET log_epoch = 'e' || p WHERE p IN (3, 4)")
    await cache.hset(meta_key(3), "epoch", "e3")
    assert "lost the log of partitions [4]" in await said(settings, "warning")
    await cache.hset(meta_key(4), "epoch", "e4")
    assert "Valkey has the logs that PostgreSQL knows (2)" in await said(settings, "ok")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "not a readable service-account file"),
        ("[]", "not a readable service-account file"),
        ('{"project_id": "p", "client_email": "e"}', "lacks private_key, token_uri"),
    ],
)
async def test_a_bad_push_account_is_a_problem(
    settings: Settings, tmp_path: Path, content: str | None, words: str
) -> None:
    account = tmp_path / "account.json"
    if content is not None:
        account.write_text(content)
    assert words in await said(replace(settings, fcm_service_account=str(account)), "problem")


async def test_open_signing_keys_are_a_problem(settings: Settings) -> None:
    load_secrets(settings)
    (settings.data / "secrets.json").chmod(0o644)
    assert "open to other users" in await said(settings, "problem")


async def test_a_port_in_use_is_a_problem(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert "cannot listen on 127.0.0.1" in await said(replace(settings, port=other.getsockname()[1]), "problem")


async def test_a_moved_clock_is_said(settings: Settings) -> None:
    assert "moved by 5000 ms" in await said(replace(settings, clock_offset_ms=5000), "warning")
