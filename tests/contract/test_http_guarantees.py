"""What must never break at the door: tenancy, redemption at most once, idempotency, revocation, bounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from engine.errors import SettingError
from engine.http import tokens
from engine.http.app import build
from engine.http.keys import CACHE_S, digest, ensure_admin_key, list_keys
from engine.http.limits import Gate, RateLimit
from engine.http.routes import Route, scopes
from engine.http.table import ROUTES
from engine.settings import Settings
from offers.coupon import code_hash
from tests.contract.http_world import (
    World,
    a_campaign,
    a_ping,
    a_product,
    a_purchase,
    a_redemption,
    a_store,
    fresh,
    is_problem,
    running,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(
    module_database_url: str, module_redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    data: Path = tmp_path_factory.mktemp("data")
    async with running(Settings(data=data, database_url=module_database_url, redis_url=module_redis_url)) as one:
        yield one


def keyed(key: str | None = None) -> dict[str, Any]:
    return {"headers": {"Idempotency-Key": key or fresh("key")}}


# ── Tenancy ──


async def test_a_neighbour_neither_sees_nor_changes(world: World) -> None:
    store, product = await world.store(), a_product()
    await world.good("POST", "/v1/products", "retailer", {"products": [product]})
    campaign = await world.good("POST", "/v1/campaigns", "retailer", a_campaign([store["code"]]))
    for path in (f"/v1/stores/{store['code']}", f"/v1/campaigns/{campaign['id']}"):
        is_problem(await world.ask("GET", path, "neighbour"), 404)
        is_problem(await world.ask("GET", f"{path}?retailer={world.retailer}", "neighbour"), 403)
    for verb in ("activate", "pause", "end", "stop"):
        is_problem(await world.ask("POST", f"/v1/campaigns/{campaign['id']}/{verb}", "neighbour"), 404)
    assert (await world.good("GET", f"/v1/campaigns/{campaign['id']}", "retailer"))["state"] == "draft"
    for path, name in (("/v1/stores", "stores"), ("/v1/products", "products"), ("/v1/campaigns", "campaigns")):
        page = await world.good("GET", f"{path}?limit=1000", "neighbour")
        codes = [one["code"] for one in page[name]]
        assert not {store["code"], product["code"], campaign["code"]} & set(codes)


async def test_codes_are_each_retailers_own(world: World) -> None:
    """The same code next door is no conflict (which would tell of it) and changes nothing here."""
    store = a_store(name="Mine")
    await world.good("POST", "/v1/stores", "retailer", {"stores": [store]})
    made = await world.good("POST", "/v1/stores", "neighbour", {"stores": [store | {"name": "Yours"}]})
    assert made["created"] == 1
    assert (await world.good("GET", f"/v1/stores/{store['code']}", "retailer"))["name"] == "Mine"
    answer = await world.ask("POST", "/v1/campaigns/validate", "neighbour", a_campaign([fresh("store"), store["code"]]))
    assert [e["column"] for e in answer.json()["errors"]] == ["stores[0]"]


async def test_a_neighbours_product_cannot_be_priced_or_sold(world: World) -> None:
    product, customer = a_product(), await world.customer()
    await world.good("POST", "/v1/products", "retailer", {"products": [product]})
    price = {"product": product["code"], "price_minor": 1, "currency": "EUR"}
    is_problem(await world.ask("POST", "/v1/prices", "neighbour", {"prices": [price]}), 422)
    is_problem(await world.ask("POST", "/v1/purchases", "neighbour", a_purchase(customer, product["code"])), 422)


async def test_a_neighbours_coupon_does_not_exist(world: World) -> None:
    _, code = await world.coupon(await world.customer())
    answers = [
        await world.ask("POST", "/v1/redemptions", "neighbour's till", a_redemption(text), **keyed())
        for text in (code, "0000-0000-0000-0000")
    ]
    assert all(is_problem(answer, 404) for answer in answers)
    assert answers[0].content == answers[1].content


async def test_a_receipt_number_next_door_is_free(world: World) -> None:
    customer, product = await world.customer(), a_product()
    for who in ("retailer", "neighbour"):
        await world.good("POST", "/v1/products", who, {"products": [product]})
        purchase = a_purchase(customer, product["code"], receipt="same receipt")
        assert (await world.good("POST", "/v1/purchases", who, purchase))["accepted"] == 1


# ── Redemption ──


async def test_two_hundred_tills_redeem_one_coupon_once(world: World) -> None:
    identity, code = await world.coupon(await world.customer())
    start = asyncio.Event()

    async def till(number: int) -> Any:
        await start.wait()
        return await world.ask("POST", "/v1/redemptions", "till", a_redemption(code, till=f"till {number}"), **keyed())

    asking = [asyncio.create_task(till(number)) for number in range(200)]
    start.set()
    answers = await asyncio.gather(*asking)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 199
    assert all(is_problem(answer, 409, "already_redeemed") for answer in answers if answer.status_code != 201)
    assert await world.database.fetchval("SELECT count(*) FROM redemption WHERE coupon = $1", identity) == 1


async def test_what_a_till_is_told_when_a_coupon_cannot_be_redeemed(world: World) -> None:
    customer = await world.customer()
    _, late = await world.coupon(customer, valid_s=-1)
    is_problem(await world.ask("POST", "/v1/redemptions", "till", a_redemption(late), **keyed()), 410, "expired")
    identity, void = await world.coupon(customer)
    await world.database.execute("UPDATE coupon SET state = 'void' WHERE id = $1", identity)
    is_problem(await world.ask("POST", "/v1/redemptions", "till", a_redemption(void), **keyed()), 409, "coupon_void")
    _, code = await world.coupon(customer, minimum_purchase_minor=5_000)
    for fault, kind in (
        ({"currency": "USD"}, "wrong_currency"),
        ({"store": "another"}, "wrong_store"),
        ({"basket_minor": 4_999}, "below_minimum"),
    ):
        answer = await world.ask("POST", "/v1/redemptions", "till", a_redemption(code, **fault), **keyed())
        is_problem(answer, 422, kind)
    is_problem(await world.ask("POST", "/v1/redemptions", "till", a_redemption("no code at all"), **keyed()), 404)
    await world.good("POST", "/v1/redemptions", "till", a_redemption(code, basket_minor=5_000), **keyed())


@pytest.mark.parametrize(
    ("offer", "basket", "off"),
    [
        ({"kind": "percent_off", "percent": 100}, 999, 999),
        ({"kind": "percent_off", "percent": 15}, 999, 149),
        ({"kind": "money_off", "percent": None, "amount_minor": 500}, 300, 300),
        ({"kind": "money_off", "percent": None, "amount_minor": 500}, 900, 500),
    ],
)
async def test_a_discount_never_exceeds_the_basket(world: World, offer: dict[str, Any], basket: int, off: int) -> None:
    _, code = await world.coupon(await world.customer(), **offer)
    body = a_redemption(code, basket_minor=basket)
    assert (await world.good("POST", "/v1/redemptions", "till", body, **keyed()))["discount_minor"] == off


# ── Idempotency ──


async def test_the_same_call_gets_the_same_bytes(world: World) -> None:
    _, code = await world.coupon(await world.customer())
    key = keyed()
    first = await world.ask("POST", "/v1/redemptions", "till", a_redemption(code), **key)
    async with running_beside(world) as restarted:
        again = await restarted.ask("POST", "/v1/redemptions", world.keys["till"], a_redemption(code), **key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true" and "idempotent-replayed" not in first.headers


async def test_one_key_for_two_requests_is_refused(world: World) -> None:
    _, code = await world.coupon(await world.customer())
    key = keyed()
    await world.good("POST", "/v1/redemptions", "till", a_redemption(code), **key)
    for body in (a_redemption(code, basket_minor=1), a_redemption("0000-0000-0000-0000")):
        is_problem(await world.ask("POST", "/v1/redemptions", "till", body, **key), 422, "idempotency_key_reused")


async def test_a_key_belongs_to_its_caller(world: World) -> None:
    """Another key's answer is never replayed to somebody else."""
    key = keyed()
    first, second = a_store(), a_store()
    await world.good("POST", "/v1/stores", "retailer", {"stores": [first]}, **key)
    answer = await world.ask("POST", "/v1/stores", "neighbour", {"stores": [second]}, **key)
    assert answer.status_code == 200 and answer.json()["rows"][0]["code"] == second["code"]


async def test_a_call_in_flight_is_a_conflict(world: World) -> None:
    _, code = await world.coupon(await world.customer())
    key = fresh("key")
    name = await world.database.fetchval("SELECT id FROM api_key WHERE hash = $1", digest(world.keys["till"]))
    async with world.database.transaction():
        lock = "SELECT pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 1))"
        await world.database.execute(lock, f"key:{name}", key)
        answer = await world.ask("POST", "/v1/redemptions", "till", a_redemption(code), **keyed(key))
    is_problem(answer, 409, "idempotency_in_flight")
    await world.good("POST", "/v1/redemptions", "till", a_redemption(code), **keyed(key))


async def test_a_refused_call_may_be_repeated_with_its_key(world: World) -> None:
    _, code = await world.coupon(await world.customer())
    key = keyed()
    body = a_redemption(code, basket_minor=10)
    await world.database.execute(
        "UPDATE coupon SET valid_until = now() - interval '1 s' WHERE code_hash = $1", _hash(code)
    )
    is_problem(await world.ask("POST", "/v1/redemptions", "till", body, **key), 410)
    await world.database.execute(
        "UPDATE coupon SET valid_until = now() + interval '1 h' WHERE code_hash = $1", _hash(code)
    )
    assert (await world.ask("POST", "/v1/redemptions", "till", body, **key)).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "tab\t", "é", "nul\0", "line\r\nInjected: yes"])
async def test_malformed_idempotency_keys(world: World, key: str) -> None:
    before = await world.count()
    headers = [(b"idempotency-key", key.encode()), (b"authorization", f"Bearer {world.keys['till']}".encode())]
    answer = await world.client.post("/v1/redemptions", json=a_redemption("0" * 16), headers=headers)
    is_problem(answer, 400, "idempotency_key_malformed")
    assert await world.count() == before


async def test_a_redemption_needs_a_key(world: World) -> None:
    answer = await world.ask("POST", "/v1/redemptions", "till", a_redemption("0" * 16))
    is_problem(answer, 400, "idempotency_key_missing")


async def test_a_repeated_key_creation_shows_the_key_again_but_stores_it_sealed(world: World) -> None:
    key, body = keyed(), {"scope": "app", "name": "backend"}
    first = await world.ask("POST", "/v1/keys", "admin", body, **key)
    again = await world.ask("POST", "/v1/keys", "admin", body, **key)
    assert first.content == again.content and again.headers["idempotent-replayed"] == "true"
    stored = await world.database.fetch("SELECT answer FROM idempotency")
    assert not any(first.json()["key"].encode() in row["answer"] for row in stored)


# ── Consent and identity ──


async def test_a_revocation_bites_at_every_door(world: World) -> None:
    """What another process changes is forgotten here within half a second."""
    customer = await world.customer()
    async with running_beside(world) as other:
        await _heard(other)
        await other.good("POST", "/v1/pings", world.keys["app"], a_ping(customer))
        assert other.services.directory.known(customer) is not None
        await world.good("PUT", f"/v1/customers/{customer}/consents", "app", {"location": False})
        is_problem(await world.ask("POST", "/v1/pings", "app", a_ping(customer)), 403, "no_consent")
        async with asyncio.timeout(0.5):
            while other.services.directory.known(customer) is not None:
                await asyncio.sleep(0.005)
        answer = await other.ask("POST", "/v1/pings", world.keys["app"], a_ping(customer))
        is_problem(answer, 403, "no_consent")


async def test_a_token_lives_for_its_time_and_its_customer(world: World) -> None:
    customer = await world.customer()
    number, clock = await world.number(customer), world.services.clock.now_ms()
    secret = world.services.secrets.token_key
    good, _ = tokens.mint(secret, number, clock, 60)
    await world.good("GET", "/v1/coupons", good)
    expired, _ = tokens.mint(secret, number, clock - 61_000, 60)
    forged, _ = tokens.mint(b"x" * 32, number, clock, 60)
    for token in (expired, forged, good[:-2], good + "x"):
        is_problem(await world.ask("GET", "/v1/coupons", token), 401)


async def test_a_revoked_key_is_refused_elsewhere_after_its_cache(world: World) -> None:
    made = await world.good("POST", "/v1/keys", "admin", {"scope": "app", "name": "x"})
    ring = world.services.keys
    assert await ring.find(made["key"].encode(), 1000.0) is not None
    await world.database.execute("UPDATE api_key SET revoked_at = now() WHERE id = $1", made["id"])
    assert await ring.find(made["key"].encode(), 1000.0 + CACHE_S - 0.1) is not None
    assert await ring.find(made["key"].encode(), 1000.0 + CACHE_S) is None


async def test_the_admin_key_is_made_once(world: World) -> None:
    path = await ensure_admin_key(world.services.settings)
    text = path.read_text().strip()
    assert path.stat().st_mode & 0o777 == 0o600
    assert await ensure_admin_key(world.services.settings) == path and path.read_text().strip() == text
    await world.good("GET", "/v1/retailers", text)
    assert len([row for row in await list_keys(world.database) if "admin.key" in row["name"]]) == 1
    assert not any(text in str(row) for row in await list_keys(world.database))


# ── Bounds ──


async def test_over_the_rate_is_429_with_the_headers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.services, "key_rate", RateLimit(3))
    answers = [await world.ask("GET", "/v1/stores", "retailer") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=60'
    assert answers[0].headers["ratelimit"].startswith('"default";r=2;t=')
    assert int(answers[3].headers["retry-after"]) >= 1
    assert (await world.ask("GET", "/v1/stores", "neighbour")).status_code == 200


async def test_a_full_house_still_redeems_and_revokes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = await world.customer()
    _, code = await world.coupon(customer)
    monkeypatch.setattr(world.services, "gate", Gate(0))
    answer = await world.ask("POST", "/v1/pings", "app", a_ping(customer))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == "/problems/busy"
    await world.good("PUT", f"/v1/customers/{customer}/consents", "app", {"location": False})
    await world.good("POST", "/v1/redemptions", "till", a_redemption(code), **keyed())


async def test_a_log_at_its_bound_is_503(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.services.writer, "_bound_bytes", 1)
    customer = await world.customer()
    answer = await world.ask("POST", "/v1/pings", "app", a_ping(customer))
    assert answer.status_code == 503 and "retry-after" in answer.headers
    token = await world.token(customer)
    await world.good("GET", "/v1/search?q=candle&lat=60&lng=25", token)  # an answer does not depend on the log


async def test_a_route_without_a_scope_fails_at_start(world: World) -> None:
    good = ROUTES[0]
    for broken in (
        replace(good, path="/v1/new", scopes=frozenset()),
        replace(good, path="/v1/new", scopes=frozenset({"everybody"})),  # type: ignore[arg-type]  # what is tested
        replace(good, path="/v1/new", scopes=scopes("public", "app")),
        replace(good, path="/v1/new", work="tenant"),
        good,
    ):
        with pytest.raises(SettingError):
            build(world.services, (*ROUTES, broken))


async def test_a_failure_of_ours_tells_nothing(world: World) -> None:
    async def fail(call: Any) -> None:
        raise RuntimeError("SELECT secret FROM /etc/passwd")

    route = Route(method="GET", path="/v1/broken", scopes=scopes("public"), handler=fail, summary="", work="plain")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(build(world.services, (route,))), base_url="http://a"
    ) as client:
        answer = await client.get("/v1/broken")
    assert answer.status_code == 500 and answer.headers["content-type"] == "application/problem+json"
    told = {"type": "/problems/internal", "title": "Something failed on our side", "status": 500}
    assert answer.json() == told


async def test_the_description_is_valid_and_complete(world: World) -> None:
    document = await world.good("GET", "/openapi.json")
    assert document["openapi"].startswith("3.1.")
    operations = {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert set(operations) == {(route.method, route.template) for route in ROUTES}
    names = [operation["operationId"] for operation in operations.values()]
    assert len(set(names)) == len(names)
    for (_, path), operation in operations.items():
        declared = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert declared == {part[1:-1] for part in path.split("/") if part.startswith("{")}
        assert all("description" in answer or "$ref" in answer for answer in operation["responses"].values())
    for ref in _refs(document):
        spot: Any = document
        for step in ref.removeprefix("#/").split("/"):
            spot = spot[step]
    security = {name for operation in operations.values() for one in operation["security"] for name in one}
    assert security == set(document["components"]["securitySchemes"])


def _refs(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [v for k, v in value.items() if k == "$ref"] + [r for v in value.values() for r in _refs(v)]
    return [r for v in value for r in _refs(v)] if isinstance(value, list) else []


async def test_nothing_secret_is_logged(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    customer = await world.customer()
    _, code = await world.coupon(customer)
    canary = {"lat": 61.23456789, "lng": 23.98765432}
    token = await world.token(customer)
    await world.ask("POST", "/v1/pings", token, a_ping(customer, **canary) | {"nonsense": 1})
    await world.ask("POST", "/v1/pings", token, a_ping(customer, **canary))
    await world.ask("GET", f"/v1/search?q=x&lat={canary['lat']}&lng={canary['lng']}", token)
    for _ in range(2):
        await world.ask("POST", "/v1/redemptions", "till", a_redemption(code), **keyed())
    out, err = capfd.readouterr()
    metrics = (await world.ask("GET", "/metrics")).text
    for secret in ("61.23456789", "23.98765432", code, token, world.keys["till"], world.keys["admin"]):
        assert secret not in out + err + metrics
    kept = {row["table_name"] for row in await world.database.fetch("SELECT table_name FROM information_schema.tables")}
    for table in kept & {"idempotency", "decision", "fact", "message"}:
        dump = json.dumps([str(dict(row)) for row in await world.database.fetch(f"SELECT * FROM {table}")])
        assert "61.23456789" not in dump and code not in dump


def _hash(code: str) -> bytes:
    return code_hash(code)


async def _heard(world: World) -> None:
    """Wait until the process listens on Valkey."""
    async with asyncio.timeout(5):
        while not world.services.directory._fresh():
            await asyncio.sleep(0.01)


def running_beside(world: World) -> Any:
    """A second API on the same servers."""
    return running(world.services.settings)
