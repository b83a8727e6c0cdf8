"""What keeps retailers apart, read from the database's own catalogue: a table that is added is judged the day it is."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from engine.postgres.pool import TENANT, connect
from tests.contract.http_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROLES = ("candlemaker_engine", "candlemaker_tenant")
SHARED = {"campaign_move", "meta", "fact_counter"}
"""Tables without a retailer that a tenant's transaction needs; they hold nothing of anybody's."""
OWN = "(retailer = (NULLIF(current_setting('candlemaker.retailer'::text, true), ''::text))::bigint)"
ITSELF = OWN.replace("(retailer =", "(id =")

TABLES = """SELECT c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity, pg_get_userbyid(c.relowner) AS owner,
    EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'retailer') AS has_retailer
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"""


async def tables(world: World) -> list[Any]:
    found: list[Any] = await world.database.fetch(TABLES)
    assert len(found) > 25
    return found


async def privileges(world: World, table: str, role: str) -> set[str]:
    kinds = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
    asked = [await world.database.fetchval("SELECT has_table_privilege($1, $2, $3)", role, table, k) for k in kinds]
    columns = await world.database.fetchval("SELECT has_any_column_privilege($1, $2, 'SELECT')", role, table)
    return {kind for kind, has in zip(kinds, asked, strict=True) if has} | ({"SELECT"} if columns else set())


async def test_every_table_of_a_retailer_has_forced_row_level_security(world: World) -> None:
    for table in await tables(world):
        if table["has_retailer"] or table["relname"] in ("retailer", "fact"):
            assert table["relrowsecurity"] and table["relforcerowsecurity"], table["relname"]


async def test_what_a_tenant_may_touch_is_narrowed_by_a_policy_or_holds_nothing_of_anybody(world: World) -> None:
    for table in await tables(world):
        name = table["relname"]
        allowed = await privileges(world, name, TENANT)
        if not allowed or name in SHARED:
            assert allowed <= {"SELECT", "UPDATE"}, name
            continue
        assert table["relrowsecurity"], name
        policies = await world.database.fetch(
            "SELECT policyname, cmd, qual, with_check FROM pg_policies WHERE tablename = $1 AND $2 = ANY (roles)",
            name, TENANT,
        )  # fmt: skip
        if name == "fact":  # a tenant writes stops, and reads none
            assert [(p["cmd"], p["qual"]) for p in policies] == [("INSERT", None)], name
            continue
        expected = ITSELF if name == "retailer" else OWN
        assert [p["qual"] for p in policies] == [expected], (name, policies)
        assert policies[0]["with_check"] in (expected, None if name == "retailer" else expected), name


async def test_the_programs_roles_own_nothing_and_cannot_get_around_it(world: World) -> None:
    for role in ROLES:
        row = await world.database.fetchrow(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin FROM pg_roles WHERE rolname = $1",
            role,
        )
        assert not any(row.values()), role
    for table in await tables(world):
        assert table["owner"] not in ROLES, table["relname"]
        for role in ROLES:
            assert not await privileges(world, table["relname"], role) & {"TRUNCATE", "TRIGGER"}, table["relname"]
    members = (
        "SELECT count(*) FROM pg_auth_members WHERE member = ANY (SELECT oid FROM pg_roles WHERE rolname = ANY ($1))"
    )
    assert await world.database.fetchval(members, list(ROLES)) == 0


async def test_no_function_lends_a_tenant_its_owners_rights_but_those_that_note_changes(world: World) -> None:
    lending = await world.database.fetch(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
        " AND has_function_privilege($1, oid, 'EXECUTE')",
        TENANT,
    )
    noting = {"note_catalogue_change", "note_campaign_change", "note_area_change"}
    assert {row["proname"] for row in lending} == noting


async def test_codes_are_unique_within_a_retailer_only(world: World) -> None:
    """A unique violation must not tell of a neighbour: every unique index a tenant can meet begins with what is its."""
    rows = await world.database.fetch(
        """SELECT t.relname, i.indkey::int2[] AS keys, array_agg(a.attname ORDER BY a.attnum) AS names
           FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_attribute a
               ON a.attrelid = t.oid AND a.attnum = ANY (i.indkey::int2[])
           WHERE i.indisunique AND NOT i.indisprimary AND t.relnamespace = 'public'::regnamespace
           GROUP BY t.relname, i.indexrelid, i.indkey"""
    )
    written = {
        t["relname"] for t in await tables(world)
        if t["has_retailer"] and "INSERT" in await privileges(world, t["relname"], TENANT)
    }  # fmt: skip
    ours = {"coupon": {"coupon", "decision"}, "redemption": {"coupon"}, "coupon_code": {"coupon"}}
    for row in rows:
        if row["relname"] in written:
            names = set(row["names"])
            assert "retailer" in names or names <= ours.get(row["relname"], set()), (row["relname"], names)


async def test_a_tenant_without_a_retailer_sees_nothing(world: World) -> None:
    await world.store()
    session = await connect(world.services.settings, TENANT)
    try:
        for name in ("store", "campaign", "upload", "retailer", "api_key", "coupon_code", "area"):
            assert await session.fetchval(f"SELECT count(*) FROM {name}") == 0, name
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.execute(
                "INSERT INTO upload (retailer, kind, format, caller) VALUES (1, 'stores', 'csv', 'x')"
            )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.execute("ALTER TABLE store DISABLE ROW LEVEL SECURITY")
    finally:
        await session.close()


async def test_a_tenant_cannot_write_for_another_retailer(world: World) -> None:
    session = await connect(world.services.settings, TENANT)
    try:
        await session.execute("SELECT set_config('candlemaker.retailer', $1, false)", str(world.retailer))
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await session.execute(
                "INSERT INTO upload (retailer, kind, format, caller) VALUES ($1, 'stores', 'csv', 'x')", world.neighbour
            )
        product = await world.database.fetchval(
            "INSERT INTO product (retailer, code, name) VALUES ($1, 'theirs', 'x') RETURNING id", world.neighbour
        )
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="does not have"):
            await session.execute(
                "INSERT INTO price (retailer, product, price_minor, currency) VALUES ($1, $2, 1, 'EUR')",
                world.retailer, product,
            )  # fmt: skip
    finally:
        await session.close()
