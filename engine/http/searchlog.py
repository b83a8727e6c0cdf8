"""Who searched, and the event that the search leaves in the log.

Only a customer who consents to `location` leaves one: the event holds a position. The answer never waits long for the
log and never fails because of it: a search that is not logged loses a possible push, an answer that is not given
loses the customer. What was not logged is counted.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from engine.directory.consents import LOCATION
from engine.errors import Busy
from engine.http import metrics
from engine.http.call import Call
from engine.http.problems import Fault, Problem
from engine.log.entries import SearchEvent
from engine.postgres import queries

PATIENCE_S = 0.25
MOST_TOLD = 50
"""Products, brands and categories that the event names: those found first."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Searcher:
    """A customer's number and consents."""

    number: int
    consents: int


async def searcher(call: Call, named: str | None) -> Searcher:
    """The token's customer, or the one an app key names; raise `Problem` for nobody or another."""
    async with call.services.pools.engine.acquire() as connection:
        if call.caller.scope == "customer":
            row = await queries.customers.get_by_number(connection, number=call.caller.number)
            if row is not None and named not in (None, row["id"]):
                raise Problem("not_yours", "a token searches for its own customer only")
        elif named is None:
            fault = Fault("missing", "an app key names the customer", "customer")
            raise Problem("invalid", errors=[fault])
        else:
            row = await queries.customers.get_customer(connection, id=named)
    if row is None:
        raise Problem("unknown_customer")
    return Searcher(row["number"], row["consents"])


async def log_search(call: Call, who: Searcher, identity: UUID, found: list[Any]) -> None:
    """Append the search with what it found, if its customer consents to `location`."""
    if not who.consents & LOCATION:
        return
    event = SearchEvent(
        search=identity,
        number=who.number,
        lat=call.query.lat,
        lng=call.query.lng,
        at_ms=call.now_ms,
        products=_first(row["product"] for row in found),
        brands=_first(row["brand"] for row in found),
        categories=_first(row["category"] for row in found),
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            await call.services.writer.search(event)
    except (Busy, TimeoutError):
        metrics.searches_unlogged.inc()
        log.warning("search.unlogged", search=str(identity))


def _first(values: Any) -> list[Any]:
    """The first distinct values that are given, in order."""
    return list(dict.fromkeys(value for value in values if value is not None))[:MOST_TOLD]
