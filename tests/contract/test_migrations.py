"""Migrations: in order, once, one at a time, and never edited."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from engine.errors import ServerError
from engine.postgres.migrate import Migration, available, migrate
from engine.postgres.pool import connect
from engine.settings import Settings

ONE = Migration(9001, "one", "CREATE TABLE tried (n integer)")
TWO = Migration(9002, "two", "INSERT INTO tried VALUES (1)")


@pytest.fixture
def empty(empty_database_url: str) -> Settings:
    return Settings(database_url=empty_database_url)


@pytest.fixture
async def look(empty: Settings) -> AsyncIterator[Any]:
    """A session to see what is there."""
    session = await connect(empty)
    yield session
    await session.close()


async def test_all_are_applied_once(empty: Settings) -> None:
    ours = available()
    assert ours
    assert await migrate(empty) == ours
    assert await migrate(empty) == []


async def test_later_ones_follow(empty: Settings, look: Any) -> None:
    await migrate(empty)
    assert await migrate(empty, [*available(), ONE, TWO]) == [ONE, TWO]
    assert await look.fetchval("SELECT count(*) FROM tried") == 1


async def test_two_at_once_do_it_once(empty: Settings, look: Any) -> None:
    applied = await asyncio.gather(*(migrate(empty, [*available(), ONE, TWO]) for _ in range(4)))
    assert sorted(len(some) for some in applied) == [0, 0, 0, len(available()) + 2]
    assert await look.fetchval("SELECT count(*) FROM tried") == 1


async def test_an_edited_one_is_refused(empty: Settings) -> None:
    await migrate(empty, [*available(), ONE])
    with pytest.raises(ServerError, match=r"9001_one\.sql was edited"):
        await migrate(empty, [*available(), replace(ONE, sql=ONE.sql + " -- later")])


async def test_a_newer_database_is_refused(empty: Settings) -> None:
    await migrate(empty, [*available(), ONE])
    with pytest.raises(ServerError, match="9001_one, unknown to this version"):
        await migrate(empty)


async def test_one_that_slips_in_between_is_refused(empty: Settings) -> None:
    await migrate(empty, [*available(), TWO.__class__(9002, "two", "SELECT 1")])
    with pytest.raises(ServerError, match="9001 is older than 9002"):
        await migrate(empty, [*available(), ONE, TWO.__class__(9002, "two", "SELECT 1")])


async def test_one_that_fails_leaves_no_trace(empty: Settings, look: Any) -> None:
    bad = replace(ONE, sql=ONE.sql + "; SELECT 1/0")
    with pytest.raises(ServerError, match="9001_one failed and left no trace: division by zero"):
        await migrate(empty, [*available(), bad])
    assert await look.fetchval("SELECT to_regclass('tried')") is None
    assert await migrate(empty, [*available(), ONE]) == [ONE]


@pytest.mark.parametrize(("name", "value"), [("partitions", "32"), ("partition_hash", "crc32")])
async def test_other_partitions_are_refused(empty: Settings, look: Any, name: str, value: str) -> None:
    await migrate(empty)
    await look.execute("UPDATE meta SET value = $2 WHERE name = $1", name, value)
    with pytest.raises(ServerError, match=f"made with .*{value}.* they cannot work together"):
        await migrate(empty)


async def test_the_app_roles_own_nothing(empty: Settings, look: Any) -> None:
    await migrate(empty)
    owned = "SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) LIKE 'candlemaker\\_%'"
    assert await look.fetchval(owned) == 0
    assert (
        await look.fetchval(
            "SELECT bool_or(rolsuper OR rolbypassrls OR rolcanlogin) FROM pg_roles WHERE rolname LIKE 'candlemaker\\_%'"
        )
        is False
    )


async def test_a_user_who_is_no_superuser_can_migrate(empty: Settings, look: Any) -> None:
    """A managed server gives no superuser: CREATEROLE and a database of one's own must do."""
    name = await look.fetchval("SELECT current_database()")
    plain = f"plain_{name[-6:]}"
    await migrate(empty)  # the roles exist and belong to another user, as they may there
    await look.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await look.execute(f"CREATE ROLE {plain} LOGIN CREATEROLE")
    try:
        await look.execute(f"GRANT candlemaker_engine, candlemaker_tenant TO {plain}")
        await look.execute(f"ALTER DATABASE {name} OWNER TO {plain}; ALTER SCHEMA public OWNER TO {plain}")
        as_plain = replace(empty, database_url=empty.database_url.replace("candlemaker@", f"{plain}@"))
        assert await migrate(as_plain) == available()
    finally:
        await look.execute(f"REASSIGN OWNED BY {plain} TO current_user; DROP OWNED BY {plain}; DROP ROLE {plain}")
