"""Sessions: roles, clock, jsonb, tenants, the owner's connection."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from engine.errors import ServerError
from engine.postgres import queries
from engine.postgres.pool import ENGINE, LOST, TENANT, connect, connect_owner, open_pool, require_durable, tenant, tls
from engine.settings import Settings

DAY_MS = 86_400_000


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[Any]:
    """One session only, so that a reuse is a reuse."""
    pool = await open_pool(replace(settings, clock_offset_ms=DAY_MS), TENANT, 1, 1)
    yield pool
    await pool.close()


async def test_role_clock_and_name_survive_a_release(pool: Any) -> None:
    for _ in range(2):
        async with pool.acquire() as session:
            assert await session.fetchval("SELECT current_user") == TENANT
            ahead_s = await session.fetchval("SELECT extract(epoch FROM candlemaker_now() - clock_timestamp())")
            assert float(ahead_s) == pytest.approx(DAY_MS / 1000, abs=5)
            assert await session.fetchval("SHOW application_name") == TENANT
            async with session.transaction():
                await session.execute("SET LOCAL candlemaker.clock_offset_ms = '5'; SET LOCAL application_name = 'x'")


async def test_a_transaction_left_open_ends_with_its_release(pool: Any) -> None:
    """Nothing else is reset at a release, so nothing else may stay behind."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    async with pool.acquire() as session:
        await session.execute("BEGIN; SELECT set_config('candlemaker.retailer', '7', true)")
    assert len(complaints) == 1 and "active transaction" in complaints[0]
    async with pool.acquire() as session:
        assert not session.is_in_transaction()
        assert not await session.fetchval("SELECT current_setting('candlemaker.retailer', true)")


async def test_jsonb_is_python(pool: Any) -> None:
    value = {"a": [1, None, "ä"], "b": {"c": 1.5}}
    assert await pool.fetchval("SELECT $1::jsonb", value) == value


async def test_a_tenant_ends_with_its_transaction(pool: Any) -> None:
    now = "SELECT nullif(current_setting('candlemaker.retailer', true), '')"
    async with tenant(pool, 7) as session:
        assert await session.fetchval(now) == "7"
    assert await pool.fetchval(now) is None
    with pytest.raises(ZeroDivisionError):
        async with tenant(pool, 8):
            raise ZeroDivisionError
    assert await pool.fetchval(now) is None


async def test_a_tenant_sees_and_writes_only_its_own(settings: Settings, pool: Any) -> None:
    engine = await connect(settings, ENGINE)
    ids = [
        await engine.fetchval("INSERT INTO retailer (name, currency) VALUES ($1, 'EUR') RETURNING id", name)
        for name in ("one", "two")
    ]
    await engine.close()
    async with tenant(pool, ids[0]) as session:
        assert [row["name"] for row in await session.fetch("SELECT name FROM retailer")] == ["one"]
        insert = "INSERT INTO product (retailer, code, name) VALUES ($1, 'a', 'a')"
        await session.execute(insert, ids[0])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with tenant(pool, ids[0]) as session:
            await session.execute(insert, ids[1])
    assert await pool.fetch("SELECT FROM product") == [], "no retailer named, no row seen"


async def test_the_owner_loses_its_lock_with_its_session(settings: Settings) -> None:
    owner, rival = await connect_owner(settings), await connect_owner(settings)
    assert await owner.fetchval("SHOW idle_session_timeout") == "5s"
    assert await owner.fetchval("SELECT current_user") == ENGINE
    await owner.execute("SELECT pg_advisory_lock(1)")
    assert await rival.fetchval("SELECT pg_try_advisory_lock(1)") is False
    await owner.execute("SET idle_session_timeout = '20ms'")
    await rival.execute("SELECT pg_advisory_lock(1)", timeout=5)
    # The server's farewell may be read before or in the next statement: any of the errors we promise to know.
    with pytest.raises((*LOST, asyncpg.PostgresError)):
        await owner.fetchval("SELECT 1")
    owner.terminate()
    await rival.close()


async def test_an_unreachable_server_is_one_sentence_without_password(settings: Settings) -> None:
    elsewhere = replace(settings, database_url="postgresql://me:hunter2@127.0.0.1:1/x")
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:1/x cannot be used: .*; check DATABASE_URL") as refusal:
        await open_pool(elsewhere, ENGINE)
    assert "hunter2" not in str(refusal.value)


async def test_a_server_that_may_lose_data_is_refused(settings: Settings) -> None:
    session = await connect(settings)
    await require_durable(session)
    await session.execute("SET synchronous_commit = off")
    with pytest.raises(ServerError, match="synchronous_commit = off"):
        await require_durable(session)
    await session.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://a@127.0.0.1:5/b", False),
        ("postgresql://localhost/b", False),
        ("postgresql://[::1]/b", False),
        ("postgresql://db.example/b", None),
        ("postgresql://127.0.0.1/b?sslmode=require", None),
    ],
)
def test_no_tls_on_loopback_only(url: str, expected: bool | None) -> None:
    assert tls(url) is expected


@pytest.mark.parametrize("name", queries.names())
async def test_every_query_file_loads(name: str) -> None:
    assert getattr(queries, name).available_queries


def test_a_query_file_that_does_not_exist_is_named() -> None:
    with pytest.raises(AttributeError, match=r"no sql/queries/nothing\.sql"):
        _ = queries.nothing
