"""Two retailers, every id of one in every route of the other: generated from the table of routes.

A route that is added is called here the day it is; one whose parameters or body this file does not know fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from engine.http.routes import Route
from engine.http.table import ROUTES
from tests.contract.http_bodies import a_campaign, a_product, a_purchase, a_redemption, a_store, fresh, keyed
from tests.contract.http_world import World
from tests.contract.upload_rig import ended

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK = "xyzzy"
"""Stands in every name and code of the neighbour's; nobody else may ever read it."""
MINE = sorted((r for r in ROUTES if r.scopes & {"retailer", "till"}), key=lambda route: route.method != "GET")
"""Reading first: what is uploaded under a neighbour's code becomes one's own."""


@dataclass(frozen=True)
class Theirs:
    """Ids of everything that the neighbour has."""

    retailer: int
    store: str
    product: str
    campaign: int
    campaign_code: str
    upload: str
    key: int
    coupon_code: str
    coupon: str
    customer: str


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def theirs(world: World) -> Theirs:
    store, product = a_store(code=fresh(MARK), name=f"{MARK} store"), a_product(code=fresh(MARK), name=f"{MARK} thing")
    who = "neighbour"
    await world.good("POST", "/v1/stores", who, {"stores": [store]})
    await world.good("POST", "/v1/products", who, {"products": [product]})
    price = {"product": product["code"], "price_minor": 4242, "currency": "EUR"}
    await world.good("POST", "/v1/prices", who, {"prices": [price]})
    body = a_campaign([store["code"]]) | {"code": fresh(MARK), "name": f"{MARK} campaign"}
    campaign = await world.good("POST", "/v1/campaigns", who, body)
    await world.good("POST", f"/v1/campaigns/{campaign['id']}/activate", who)
    upload = await ended(world, "stores", f"code,name,lat,lng,zone\n{fresh(MARK)},{MARK},91,0,UTC\n", who=who)
    customer = await world.customer()
    coupon, code = await world.coupon(customer, who=who)
    await world.good("POST", "/v1/purchases", who, a_purchase(customer, product["code"], receipt=fresh(MARK)))
    key = await world.database.fetchval("SELECT id FROM api_key WHERE retailer = $1 LIMIT 1", world.neighbour)
    return Theirs(
        world.neighbour, store["code"], product["code"], campaign["id"], body["code"], upload["id"], key, code,
        str(coupon), customer,
    )  # fmt: skip


PARAMETERS: dict[str, tuple[Callable[[Theirs], Any], Any]] = {
    # Name of a placeholder → (the neighbour's id, one that nobody has).
    "code": (lambda t: t.store, "nobody-has-this"),
    "campaign": (lambda t: t.campaign, 999_999_999),
    "upload": (lambda t: t.upload, uuid4()),
    "coupon": (lambda t: t.coupon, uuid4()),
    "key": (lambda t: t.key, 999_999_999),
}

BODIES: dict[str, Callable[[Theirs], Any]] = {
    # Unsafe routes with a body: a good one that names what is the neighbour's wherever it names anything.
    "POST /v1/purchases": lambda t: a_purchase(t.customer, t.product, store=t.store),
    "POST /v1/redemptions": lambda t: a_redemption(t.coupon_code),
    "POST /v1/stores": lambda t: {"stores": [a_store(code=t.store, name="mine now")]},
    "POST /v1/products": lambda t: {"products": [a_product(code=t.product, name="mine now")]},
    "POST /v1/prices": lambda t: {
        "prices": [{"product": t.product, "store": t.store, "price_minor": 1, "currency": "EUR"}]
    },
    "POST /v1/campaigns": lambda t: a_campaign([t.store], products=[t.product]) | {"code": t.campaign_code},
    "POST /v1/campaigns/validate": lambda t: a_campaign([t.store], products=[t.product]) | {"code": t.campaign_code},
    "PUT /v1/campaigns/{campaign}": lambda t: a_campaign([t.store]) | {"code": t.campaign_code},
    "POST /v1/campaigns/{campaign}/clone": lambda t: {"code": t.campaign_code},
    "POST /v1/uploads": lambda t: f"code,name,lat,lng,zone\n{t.store},mine now,60,25,UTC\n".encode(),
}
QUERIES = {"POST /v1/uploads": "kind=stores&replace=true"}
NO_BODY = {"activate", "pause", "end", "stop"}


def name_of(route: Route) -> str:
    return f"{route.method} {route.template}"


async def call(world: World, route: Route, path: str, body: Any, query: str = "") -> httpx.Response:
    who = "till" if "till" in route.scopes else "retailer"
    queries = "&".join(part for part in (QUERIES.get(name_of(route), ""), query) if part)
    more: dict[str, Any] = keyed()
    if isinstance(body, bytes):
        more["content"] = body
        more["headers"]["Content-Type"] = "text/csv"
        body = None
    return await world.ask(route.method, f"{path}?{queries}" if queries else path, who, body, **more)


def filled(route: Route, choose: Callable[[str], Any]) -> str:
    path = route.template
    for name, _ in route.parameters:
        path = path.replace(f"{{{name}}}", str(choose(name)))
    return path


def body_of(route: Route, theirs: Theirs) -> Any:
    if route.method == "GET" or (route.request is None and not route.takes):
        return None
    assert name_of(route) in BODIES, f"{name_of(route)} is new: say here what it would be asked with a neighbour's ids"
    return BODIES[name_of(route)](theirs)


async def state_of(world: World, retailer: int) -> dict[str, Any]:
    """A digest of every row that is a retailer's."""
    tables = await world.database.fetch(
        """SELECT table_name FROM information_schema.columns
           JOIN information_schema.tables USING (table_schema, table_name)
           WHERE table_schema = 'public' AND column_name = 'retailer' AND table_type = 'BASE TABLE'"""
    )
    return {
        name: await world.database.fetchval(
            f"SELECT md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM {name} t WHERE retailer = $1",
            retailer,
        )
        for (name,) in tables
    }


@pytest.mark.parametrize("route", MINE, ids=name_of)
async def test_a_neighbours_ids_in_a_route(world: World, theirs: Theirs, route: Route) -> None:
    for name, _ in route.parameters:
        assert name in PARAMETERS, f"the parameter {name!r} is new: say here whose it is"
    before = await state_of(world, theirs.retailer)
    body = body_of(route, theirs)
    answer = await call(world, route, filled(route, lambda name: PARAMETERS[name][0](theirs)), body)
    assert answer.status_code < 500, answer.text
    read = answer.text + str(answer.headers)
    sent = [theirs.store, theirs.product, theirs.campaign_code]
    for word in sent:  # what we wrote ourselves may be told back
        read = read.replace(word, "")
    assert MARK not in read, (name_of(route), answer.text)
    assert await state_of(world, theirs.retailer) == before, f"{name_of(route)} changed what is the neighbour's"
    if route.parameters:
        assert answer.status_code == 404, (name_of(route), answer.status_code, answer.text)
        nobodys = await call(world, route, filled(route, lambda name: PARAMETERS[name][1]), body)
        assert (nobodys.status_code, nobodys.content) == (answer.status_code, answer.content), "it tells who exists"


@pytest.mark.parametrize("route", [r for r in MINE if "retailer" in r.query.__struct_fields__], ids=name_of)
async def test_naming_the_neighbour_is_forbidden(world: World, theirs: Theirs, route: Route) -> None:
    before = await state_of(world, theirs.retailer)
    path = filled(route, lambda name: PARAMETERS[name][0](theirs))
    answer = await call(world, route, path, body_of(route, theirs), f"retailer={theirs.retailer}")
    assert answer.status_code == 403, (name_of(route), answer.status_code, answer.text)
    assert MARK not in answer.text
    assert await state_of(world, theirs.retailer) == before


async def test_what_is_read_above_is_there_to_be_read(world: World, theirs: Theirs) -> None:
    """The neighbour itself sees the mark wherever the others must not: else the tests above would prove nothing."""
    for path in ("/v1/stores", "/v1/products", "/v1/campaigns", f"/v1/stores/{theirs.store}",
                 f"/v1/campaigns/{theirs.campaign}", f"/v1/campaigns/{theirs.campaign}/versions"):  # fmt: skip
        assert MARK in (await world.ask("GET", path, "neighbour")).text, path
    assert (await world.ask("GET", f"/v1/uploads/{theirs.upload}", "neighbour")).status_code == 200


async def test_metrics_name_no_retailer(world: World, theirs: Theirs) -> None:
    text = (await world.ask("GET", "/metrics")).text
    assert MARK not in text and "retailer=" not in text


EXEMPT = {
    "POST /v1/pings": "a report repeated is a duplicate by its customer and time; a stored answer costs a transaction"
}


async def test_every_unsafe_call_takes_an_idempotency_key() -> None:
    unsafe = {name_of(route): route for route in ROUTES if route.method != "GET"}
    assert {name for name, route in unsafe.items() if not route.effect} == set(EXEMPT)
