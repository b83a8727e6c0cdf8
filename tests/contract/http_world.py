"""A running API in this process, on the real servers, with a retailer, its neighbour, and keys of every scope."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx

from engine.http.app import build
from engine.http.call import Services
from engine.http.keys import KeyScope, create_key
from engine.http.services import services
from engine.log.keys import INBOX_CHANNEL, PARTITIONS, log_key, meta_key
from engine.postgres.pool import connect
from engine.settings import Settings
from offers.coupon import code, code_hash
from tests.contract.http_bodies import a_campaign, a_product, a_store, fresh, is_problem, keyed

ALL_CONSENTS = dict.fromkeys(
    ("location", "history", "marketing_push", "marketing_inapp", "cross_retailer", "measurement"), True
)


@dataclass
class World:
    """What a test needs to talk to the API and to look behind it."""

    services: Services
    client: httpx.AsyncClient
    database: Any
    keys: dict[str, str] = field(default_factory=dict)
    retailer: int = 0
    neighbour: int = 0

    async def ask(self, method: str, path: str, who: str = "", body: Any = None, **more: Any) -> httpx.Response:
        """One request as the key named *who* (or a token given whole); *body* is sent as JSON."""
        headers = {**more.pop("headers", {})}
        if who:
            headers["Authorization"] = f"Bearer {self.keys.get(who, who)}"
        if body is not None:
            more["json"] = body
        return await self.client.request(method, path, headers=headers, **more)

    async def good(self, method: str, path: str, who: str = "", body: Any = None, **more: Any) -> Any:
        """The same, which must succeed; its JSON."""
        answer = await self.ask(method, path, who, body, **more)
        assert answer.is_success, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    async def count(self) -> dict[str, int]:
        """Rows of every table and entries of the log; what a refused request leaves as it was."""
        tables = await self.database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        each = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for (name,) in tables)
        async with self.services.valkey.pipeline() as asked:
            for p in range(PARTITIONS):
                asked.xlen(log_key(p))
            entries = dict(zip(map(log_key, range(PARTITIONS)), await asked.execute(), strict=True))
        return dict(await self.database.fetch(each)) | entries

    async def refused(self, method: str, path: str, who: str, body: Any, **expected: Any) -> Any:
        """The problem of a request that must be refused, as *expected* of `is_problem`, and leave nothing behind."""
        before = await self.count()
        answer = await self.ask(method, path, who, body, **keyed())
        assert is_problem(answer, **expected)
        assert await self.count() == before
        return answer.json()

    async def customer(self, **consents: bool) -> str:
        """A new customer with all consents but those named."""
        one = fresh("customer")
        body = {"customers": [{"id": one, "zone": "Europe/Helsinki", "consents": ALL_CONSENTS | consents}]}
        await self.good("POST", "/v1/customers", "app", body)
        return one

    async def token(self, customer: str) -> str:
        """A token of a customer."""
        minted: str = (await self.good("POST", f"/v1/customers/{customer}/token", "app"))["token"]
        return minted

    async def number(self, customer: str) -> int:
        """A customer's number."""
        found: int = await self.database.fetchval("SELECT number FROM customer WHERE id = $1", customer)
        return found

    async def coupon(
        self, customer: str, valid_s: float = 3600, who: str = "retailer", **offer: Any
    ) -> tuple[UUID, str]:
        """(id, code) of a coupon put into the database as a matcher would, of a fresh live campaign."""
        store = await self.store(who)
        campaign = await self.good("POST", "/v1/campaigns", who, a_campaign(stores=[store["code"]], **offer))
        retailer = self.retailer if who == "retailer" else self.neighbour
        identity, decision, number = uuid4(), uuid4(), await self.number(customer)
        await self.database.execute(
            """INSERT INTO decision (id, p, position, customer, trigger, occasion, campaign, retailer, store, cell,
                   event_at, logged_at, decided_at, terms, held)
               VALUES ($1, $2, 1, $3, 'enter', $1, $4, $5, $6, 0, now(), now(), now(), '{}', '[]')""",
            decision, number % PARTITIONS, number, campaign["id"], retailer, store["id"],
        )  # fmt: skip
        text = code(self.services.secrets.coupon_key, identity)
        await self.database.execute(
            """INSERT INTO coupon (id, decision, retailer, campaign, store, customer, code_hash, offer, issued_at,
                   valid_until)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now(), now() + $9 * interval '1 second')""",
            identity, decision, retailer, campaign["id"], store["id"], number, code_hash(text),
            campaign["campaign"]["offer"], float(valid_s),
        )  # fmt: skip
        return identity, text

    async def store(self, who: str = "retailer", **more: Any) -> Any:
        """A new store of a retailer."""
        body = a_store(**more)
        await self.good("POST", "/v1/stores", who, {"stores": [body]})
        return await self.good("GET", f"/v1/stores/{body['code']}", who)


@dataclass(frozen=True)
class Regulars:
    """A customer who is there for all tests of a module, its token, and a product of a retailer that has a store."""

    customer: str
    token: str
    product: str


async def regulars_of(world: World) -> Regulars:
    customer, product = await world.customer(), a_product()
    await world.good("POST", "/v1/products", "retailer", {"products": [product]})
    await world.store()
    return Regulars(customer, await world.token(customer), product["code"])


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[World]:
    """The API on *settings*' servers."""
    async with services(settings) as open_services:
        transport = httpx.ASGITransport(build(open_services), raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            database = await connect(settings)
            world = World(open_services, client, database)
            try:
                await _furnish(world)
                yield world
            finally:
                await database.close()


async def _furnish(world: World) -> None:
    for p in range(PARTITIONS):  # as the partition's owner does
        await world.services.valkey.hset(meta_key(p), mapping={"epoch": "test", "total": 0, "base": 0})
    world.keys["admin"] = await _key(world, "admin", None)
    world.keys["app"] = await _key(world, "app", None)
    make = {"currency": "EUR"}
    world.retailer = (await world.good("POST", "/v1/retailers", "admin", make | {"name": fresh("shop")}))["id"]
    world.neighbour = (await world.good("POST", "/v1/retailers", "admin", make | {"name": fresh("shop")}))["id"]
    for name, scope, retailer in (
        ("retailer", "retailer", world.retailer),
        ("till", "till", world.retailer),
        ("neighbour", "retailer", world.neighbour),
        ("neighbour's till", "till", world.neighbour),
    ):
        body = {"scope": scope, "retailer": retailer, "name": name}
        world.keys[name] = (await world.good("POST", "/v1/keys", "admin", body))["key"]


async def _key(world: World, scope: KeyScope, retailer: int | None) -> str:
    return (await create_key(world.database, scope, retailer, scope)).text


async def put_into_inbox(world: World, customer: str, coupon: UUID) -> str:
    """Put a coupon's message into the inbox as the sender would; the decision's id."""
    decision = await world.database.fetchval("SELECT decision FROM coupon WHERE id = $1", coupon)
    message, number = uuid4(), await world.number(customer)
    await world.database.execute(
        """WITH numbered AS (UPDATE customer SET inbox_seq = inbox_seq + 1 WHERE number = $3 RETURNING inbox_seq)
           INSERT INTO inbox (customer, seq, message, decision, title, body, at, expires_at)
           SELECT $3, inbox_seq, $1, $2, 'Hello', 'Light', now(), now() + interval '1 hour' FROM numbered""",
        message, decision, number,
    )  # fmt: skip
    await world.services.valkey.publish(INBOX_CHANNEL, str(number))
    return str(decision)
