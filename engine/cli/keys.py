"""`candlemaker keys`: create, list, rotate and revoke API keys."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import asyncpg

from engine.embedded.servers import borrowed
from engine.errors import Refused
from engine.http.keys import create_key, list_keys, revoke_key, rotate_key
from engine.postgres.migrate import migrate
from engine.postgres.pool import ENGINE, connect
from engine.settings import Settings


async def keys(settings: Settings, args: argparse.Namespace) -> int:
    """Run one verb; raise `Refused` when the database refuses what was asked."""
    async with borrowed(settings) as found:
        await migrate(found)
        connection = await connect(found, ENGINE)
        try:
            lines = await _VERBS[args.verb](connection, args)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise Refused(_refusal(error.constraint_name, args)) from None
        finally:
            await connection.close()
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


async def _create(connection: Any, args: argparse.Namespace) -> list[str]:
    made = await create_key(connection, args.scope, args.retailer, args.name)
    return [made.text]


async def _list(connection: Any, _: argparse.Namespace) -> list[str]:
    rows = await list_keys(connection)
    table = [("id", "prefix", "scope", "retailer", "name", "revoked")]
    for row in rows:
        revoked = row["revoked_at"].isoformat(timespec="seconds") if row["revoked_at"] else "-"
        table.append((str(row["id"]), row["prefix"], row["scope"], str(row["retailer"] or "-"), row["name"], revoked))
    return ["\t".join(cells) for cells in table]


async def _rotate(connection: Any, args: argparse.Namespace) -> list[str]:
    async with connection.transaction():
        made = await rotate_key(connection, args.id, args.grace)
    if made is None:
        raise Refused(f"there is no live key {args.id}; `candlemaker keys list` shows them")
    return [made.text]


async def _revoke(connection: Any, args: argparse.Namespace) -> list[str]:
    if not await revoke_key(connection, args.id):
        raise Refused(f"there is no key {args.id}; `candlemaker keys list` shows them")
    return [f"key {args.id} is revoked; every API process refuses it within seconds"]


_VERBS = {"create": _create, "list": _list, "rotate": _rotate, "revoke": _revoke}


def _refusal(constraint: str | None, args: argparse.Namespace) -> str:
    if constraint == "retailer_keys_name_their_retailer":
        return "keys of the scopes retailer and till need --retailer, the others must not have one"
    if constraint == "two_live_keys_a_line":
        return f"key {args.id} has a live successor already; revoke one of the two first"
    if constraint == "api_key_retailer_fkey":
        return f"there is no retailer {args.retailer}"
    return f"the database refuses this key ({constraint})"
