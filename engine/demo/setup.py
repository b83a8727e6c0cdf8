"""Opens the town through the HTTP API: retailers, keys, stores, products, customers, receipts, campaigns.

Nothing here reaches behind the API. Uploads run side by side; campaigns come last, so that one compile sees all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyreqwest.client import Client

from engine.demo import files
from engine.demo.api import Caller, Unwelcome
from engine.demo.campaigns import COUNTRY, Placed
from engine.demo.chains import CHAINS, Chain, shops_of
from engine.demo.city import City
from engine.demo.households import CURRENCY
from engine.demo.people import Person
from engine.demo.receipts import Books
from engine.demo.stage import Stage
from offers.campaign import Campaign

AT_ONCE = 6
CUSTOMERS, RECEIPTS = 500, 200  # rows a request: each stays below a megabyte
TILLS = 2

Tell = Callable[[str, int, int], None]
"""Called with a step's name, how much of it is done and how much there is."""


@dataclass(frozen=True)
class Retailer:
    """A chain as the API knows it: its own caller, and one for each of its tills."""

    chain: Chain
    id: int
    desk: Caller
    tills: Sequence[Caller]


@dataclass
class Town:
    """What the traffic needs: who calls with which key, retailers by chain, campaign ids by (chain, code)."""

    app: Caller
    admin: Caller
    retailers: dict[Chain, Retailer] = field(default_factory=dict)
    campaigns: dict[tuple[Chain, str], int] = field(default_factory=dict)


async def found_town(stage: Stage, client: Client) -> Town:
    """Retailers and keys."""
    admin = Caller(client, stage.stack.url, stage.admin_key)
    app = await _key(admin, {"scope": "app", "name": "the demo's app"})
    town = Town(app, admin)
    for chain in CHAINS:
        made = await admin.must("POST", "/v1/retailers", {"name": chain.name, "currency": CURRENCY})
        desk = await _key(admin, {"scope": "retailer", "retailer": made["id"], "name": f"{chain.name}: office"})
        tills = [
            await _key(admin, {"scope": "till", "retailer": made["id"], "name": f"{chain.name}: till {n}"})
            for n in range(1, TILLS + 1)
        ]
        town.retailers[chain] = Retailer(chain, made["id"], desk, tills)
    return town


async def _key(admin: Caller, wanted: Mapping[str, Any]) -> Caller:
    made = await admin.must("POST", "/v1/keys", wanted)
    return Caller(admin.client, admin.url, made["key"])


async def open_stores(town: Town, city: City, books: Books, tell: Tell) -> None:
    """Stores, products and prices of every chain, each from the file it has."""
    desks = {chain: retailer.desk for chain, retailer in town.retailers.items()}
    await _side_by_side(
        [
            desk.upload("stores", files.GEOJSON, files.stores(shops_of(city, chain), COUNTRY))
            for chain, desk in desks.items()
        ],
        "stores",
        tell,
    )
    for name, media, rows_of, written in (
        ("products", files.CSV, books.products, files.products),
        ("prices", files.TSV, books.prices, files.prices),
    ):
        jobs = [desks[chain].upload(name, media, written(rows)) for chain, rows in rows_of.items() if rows]
        await _side_by_side(jobs, name, tell)


async def enrol(town: Town, people: Sequence[Person], tell: Tell) -> None:
    """Customers with their consents and devices."""
    rows = [person.wire() for person in people]
    await _side_by_side([_upload(town.app, "customers", part) for part in parts(rows, CUSTOMERS)], "customers", tell)


async def post_receipts(town: Town, books: Books, tell: Tell) -> None:
    """The households' purchases of those who allow it; a refused row is a fault of the demo."""
    jobs = [
        _receipts(town.retailers[chain], part)
        for chain, rows in books.receipts.items()
        for part in parts(rows, RECEIPTS)
    ]
    await _side_by_side(jobs, "receipts", tell)


async def launch(town: Town, placed: Sequence[Placed], tell: Tell) -> None:
    """Each chain's campaigns, live with the upload's own transaction."""
    of_chain = {chain: [one.campaign for one in placed if one.chain is chain] for chain in town.retailers}
    await _side_by_side([_launch(town, chain, some) for chain, some in of_chain.items() if some], "campaigns", tell)


async def _launch(town: Town, chain: Chain, some: Sequence[Campaign]) -> None:
    desk = town.retailers[chain].desk
    await desk.upload("campaigns", files.NDJSON, files.campaigns(some), "&activate=true")
    page = await desk.must("GET", "/v1/campaigns?limit=1000")
    town.campaigns |= {(chain, one["code"]): one["id"] for one in page["campaigns"]}


async def _upload(caller: Caller, name: str, rows: Sequence[Any]) -> None:
    await caller.must("POST", f"/v1/{name}", {name: rows})


async def _receipts(retailer: Retailer, rows: Sequence[Any]) -> None:
    answer = await retailer.desk.must("POST", "/v1/purchases", {"purchases": rows})
    if answer["refused"]:
        raise Unwelcome(f"receipts were refused: {', '.join(sorted({one['code'] for one in answer['refused']}))}")


async def _side_by_side(jobs: Sequence[Coroutine[Any, Any, None]], name: str, tell: Tell) -> None:
    """Run *jobs*, at most `AT_ONCE` at a time; the first failure ends the others."""
    room, done = asyncio.Semaphore(AT_ONCE), 0
    tell(name, 0, len(jobs))

    async def one(job: Coroutine[Any, Any, None]) -> None:
        nonlocal done
        async with room:
            await job
        done += 1
        tell(name, done, len(jobs))

    try:
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                tasks.create_task(one(job))
    except* Unwelcome as refused:
        raise refused.exceptions[0] from None


def parts(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """*rows* in pieces of at most *size*."""
    return (rows[start : start + size] for start in range(0, len(rows), size))
