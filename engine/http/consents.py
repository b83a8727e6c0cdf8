"""Consents by purpose: changed with their fact in one transaction, obeyed at this door at once."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import structlog

from engine.directory.consents import PURPOSES, to_bits, to_purposes
from engine.http.call import Call
from engine.http.problems import Problem
from engine.log.keys import DIRECTORY_CHANNEL, PARTITIONS
from engine.log.valkey import RedisError
from engine.postgres import queries

PUBLISH_S = 0.3
"""The answer waits no longer for other API processes to be told; they distrust a silent wire by then."""

log = structlog.get_logger()


class Consents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Purpose → consented or not; purposes that are left out stay as they are."""

    location: bool | None = None
    history: bool | None = None
    marketing_push: bool | None = None
    marketing_inapp: bool | None = None
    cross_retailer: bool | None = None
    measurement: bool | None = None


assert Consents.__struct_fields__ == tuple(PURPOSES)


class StoredConsents(msgspec.Struct, frozen=True):
    """Every purpose."""

    consents: dict[str, bool]


async def put(call: Call, body: Consents) -> StoredConsents:
    """Set the named purposes."""
    one = call.params["customer"]
    row = await queries.customers.lock_customer(call.connection, id=one)
    if row is None:
        raise Problem("unknown_customer")
    bits = to_bits(msgspec.structs.asdict(body), row["consents"])
    if bits != row["consents"]:
        await change(call, {row["number"]: bits}, [one])
    return StoredConsents(to_purposes(bits))


async def change(call: Call, bits: dict[int, int], ids: list[str]) -> None:
    """Store consents by customer number, with their history and facts; last in the transaction.

    After the commit the directories forget *ids*, here and everywhere.
    """
    numbers = sorted(bits, key=lambda number: (number % PARTITIONS, number))
    if numbers:
        await queries.customers.change_consents(
            call.connection,
            numbers=numbers,
            consents=[bits[number] for number in numbers],
            caller=call.caller.name,
        )
        await append_facts(
            call.connection,
            "consent",
            [(number, {"number": number, "consents": bits[number]}) for number in numbers],
        )

    async def forget() -> None:
        for one in ids:
            call.services.directory.forget(one)
        await _tell(call, ids)

    call.after_commit.append(forget)


async def append_facts(connection: Any, kind: str, facts: list[tuple[int, dict[str, Any]]]) -> None:
    """Append (customer number, payload) facts in the order of p; the last statement of their transaction."""
    ordered = sorted(facts, key=lambda fact: fact[0] % PARTITIONS)  # stable: a customer's own order stays
    await queries.customers.append_facts(
        connection,
        kind=kind,
        partitions=[number % PARTITIONS for number, _ in ordered],
        payloads=[payload for _, payload in ordered],
    )


async def _tell(call: Call, ids: list[str]) -> None:
    """Publish the changed ids. A failure is no failure of the call: whoever missed it has lost its wire too."""
    try:
        async with asyncio.timeout(PUBLISH_S):
            async with call.services.valkey.pipeline(transaction=False) as pipe:
                for one in ids:
                    pipe.publish(DIRECTORY_CHANNEL, one)
                await pipe.execute()
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("consent.untold", error=type(error).__name__)
