"""What budgets and lines of audit name is proved a statement at a time: here statements name what is not there."""

from __future__ import annotations

import asyncpg
import pytest

from engine.postgres.pool import connect
from engine.settings import Settings

CAMPAIGN = """INSERT INTO campaign (retailer, code, spec, starts_at, ends_at)
SELECT $1, 'c' || n, '{}', now(), now() + interval '1 day' FROM generate_series(1, 3) n RETURNING id"""
BUDGET = "INSERT INTO budget (campaign, retailer, total) SELECT unnest($1::bigint[]), $2, 10"
AUDIT = """INSERT INTO campaign_audit (campaign, retailer, version, verb, caller)
SELECT unnest($1::bigint[]), $2, 1, 'create', 'x'"""


@pytest.mark.parametrize("role", ["candlemaker_engine", "candlemaker_tenant"])
async def test_nothing_names_a_campaign_or_a_retailer_that_is_not(settings: Settings, role: str) -> None:
    database = await connect(settings)
    try:
        one, other = [
            await database.fetchval("INSERT INTO retailer (name, currency) VALUES ($1, 'EUR') RETURNING id", name)
            for name in ("one", "other")
        ]
        await database.execute(f"SET ROLE {role}")
        await database.execute("SELECT set_config('candlemaker.retailer', $1, false)", str(one))
        ids = [row["id"] for row in await database.fetch(CAMPAIGN, one)]
        for sql in (BUDGET, AUDIT):
            for named, retailer in (([*ids, 999_999], one), (ids, other)):
                with pytest.raises((asyncpg.ForeignKeyViolationError, asyncpg.InsufficientPrivilegeError)):
                    await database.execute(sql, named, retailer)
            await database.execute(sql, ids, one)
        await database.execute("SELECT set_config('candlemaker.retailer', '999999', false)")
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await database.fetch(CAMPAIGN, 999_999)
        for sql in ("DELETE FROM campaign", "DELETE FROM retailer", "UPDATE budget SET campaign = 1"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.execute(sql)
    finally:
        await database.close()
