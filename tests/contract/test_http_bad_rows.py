"""Pings, stores, prices, campaigns and purchases that cannot be: each fault is named, nothing of them is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.http_bodies import a_campaign, a_ping, a_purchase, a_store, fresh, now
from tests.contract.http_world import Regulars, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("fault", "column", "code"),
    [
        ({"lat": 91}, "lat", "range"),
        ({"lng": 181}, "lng", "range"),
        ({"lng": 540}, "lng", "range"),
        ({"lat": 1e308}, "lat", "range"),
        ({"lat": 160.1, "lng": 60.2}, "lat", "range"),
        ({"lat": "60.1"}, "lat", "type"),
        ({"lat": None}, "lat", "type"),
        ({"at": "2024-01-01T12:00:00"}, "at", "no_zone"),
        ({"at": "10000-01-01T12:00:00Z"}, "at", "value"),
        ({"at": 1_700_000_000}, "at", "type"),
        ({"at": "yesterday"}, "at", "value"),
        ({"customer": ""}, "customer", "length"),
        ({"customer": "x" * 129}, "customer", "length"),
        ({"speed": 3}, "speed", "unknown_field"),
    ],
)
async def test_faulty_pings(world: World, regulars: Regulars, fault: dict[str, Any], column: str, code: str) -> None:
    problem = await world.refused("POST", "/v1/pings", "app", a_ping(regulars.customer) | fault, status=422)
    assert [(e["column"], e["code"]) for e in problem["errors"]] == [(column, code)]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"lat": 0.0, "lng": 0.0}, "refused"),
        ({"accuracy_m": -1}, "refused"),
        ({"accuracy_m": 1e308}, "refused"),
        ({"accuracy_m": 5001}, "refused"),
        ({"at": "0001-01-01T00:00:00Z"}, "refused"),
        ({"at": "9999-12-31T23:59:59Z"}, "refused"),
        ({"at": now(86_400)}, "refused"),
        ({"at": now(-365 * 86_400)}, "refused"),
        ({"customer": "nobody"}, "unknown_customer"),
        ({"customer": "'; DROP TABLE customer; --%_"}, "unknown_customer"),
    ],
)
async def test_pings_refused_for_what_they_say(
    world: World, regulars: Regulars, fault: dict[str, Any], kind: str
) -> None:
    await world.refused("POST", "/v1/pings", "app", a_ping(regulars.customer) | fault, kind=kind)
    await world.refused("POST", "/v1/pings", "app", {"pings": [a_ping(regulars.customer) | fault]}, kind=kind)


async def test_all_faulty_pings_of_a_batch_are_told(world: World, regulars: Regulars) -> None:
    pings = [a_ping(regulars.customer) for _ in range(50)]
    pings[6] |= {"lat": 95, "lng": -200}
    pings[41] = {"customer": regulars.customer}
    problem = await world.refused("POST", "/v1/pings", "app", {"pings": pings}, status=422)
    assert [(e["row"], e["column"]) for e in problem["errors"]] == [
        (7, "lat"),
        (7, "lng"),
        (42, "lat"),
        (42, "lng"),
        (42, "at"),
    ]


async def test_too_many_pings(world: World, regulars: Regulars) -> None:
    await world.refused("POST", "/v1/pings", "app", {"pings": []}, status=422)
    small = {"customer": regulars.customer, "lat": 1, "lng": 1, "at": now()}
    problem = await world.refused("POST", "/v1/pings", "app", {"pings": [small] * 5_001}, status=422)
    assert problem["errors"][0]["column"] == "pings"
    await world.refused("POST", "/v1/pings", "app", {"pings": [small] * 100_000}, status=413)


STORE_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"lat": 91}, "lat"),
    ({"lat": 0.0, "lng": 0.0}, "lat"),
    ({"zone": "Mars/Olympus"}, "zone"),
    ({"zone": "../../etc/passwd"}, "zone"),
    ({"country": "fi"}, "country"),
    ({"opening_hours": "whenever"}, "opening_hours"),
    ({"code": "a/b"}, "code"),
    ({"code": "line\nbreak"}, "code"),
    ({"name": ""}, "name"),
    ({"retailer": 1}, "retailer"),
    ({"id": 7}, "id"),
]


@pytest.mark.parametrize(("fault", "column"), STORE_FAULTS)
async def test_one_wrong_store_of_many_stores_none(world: World, fault: dict[str, Any], column: str) -> None:
    stores = [a_store() for _ in range(20)]
    stores[12] |= fault
    problem = await world.refused("POST", "/v1/stores", "retailer", {"stores": stores}, status=422)
    assert [(e["row"], e["column"]) for e in problem["errors"]] == [(13, column)]


async def test_all_wrong_stores_are_told(world: World) -> None:
    stores = [a_store() for _ in range(12)]
    for index, (fault, _) in enumerate(STORE_FAULTS):
        stores[index] |= fault
    problem = await world.refused("POST", "/v1/stores", "retailer", {"stores": stores}, status=422)
    shaped = {row for row, (fault, _) in enumerate(STORE_FAULTS, 1) if not {"zone", "opening_hours"} & set(fault)} - {2}
    assert {e["row"] for e in problem["errors"]} >= shaped
    same = a_store()
    problem = await world.refused("POST", "/v1/stores", "retailer", {"stores": [same, a_store(), same]}, status=422)
    assert [(e["row"], e["code"]) for e in problem["errors"]] == [(3, "repeated")]


@pytest.mark.parametrize(
    ("fault", "column"),
    [
        ({"price_minor": -1}, "price_minor"),
        ({"price_minor": 1.5}, "price_minor"),
        ({"price_minor": "19.99 USD"}, "price_minor"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "USD"}, "currency"),
        ({"sale_price_minor": 101}, "sale_price_minor"),
        ({"sale_from": now()}, "sale_price_minor"),
        ({"sale_price_minor": 1, "sale_from": now(60), "sale_until": now()}, "sale_until"),
        ({"product": "no such"}, "product"),
        ({"store": "no such"}, "store"),
        ({"availability": "maybe"}, "availability"),
    ],
)
async def test_wrong_prices(world: World, regulars: Regulars, fault: dict[str, Any], column: str) -> None:
    good = {"product": regulars.product, "price_minor": 100, "currency": "EUR"}
    problem = await world.refused("POST", "/v1/prices", "retailer", {"prices": [good | fault]}, status=422)
    assert [(e["row"], e["column"]) for e in problem["errors"]] == [(1, column)]


@pytest.mark.parametrize(
    "fault",
    [
        {"ends_at": now(-7200)},
        {"starts_at": now(60), "ends_at": now(30)},
        {"budget_coupons": 0},
        {"budget_coupons": -1},
        {"budget_coupons": 2**31},
        {"radius_m": 1e308},
        {"radius_m": 0},
        {"stores": ["no such"]},
        {"trigger": "dwell"},
        {"trigger": "teleport"},
        {"offer": {"kind": "percent_off", "percent": 101, "valid_for_s": 60}},
        {"offer": {"kind": "percent_off", "percent": 10, "products": ["no such"], "valid_for_s": 60}},
        {"offer": {"kind": "money_off", "valid_for_s": 60}},
        {"cap": {"coupons": 0, "per_days": 1}},
        {"creative": {"title": "", "body": ""}},
        {"budget_spent": 5},
        {"state": "live"},
    ],
)
@pytest.mark.usefixtures("regulars")
async def test_wrong_campaigns(world: World, fault: dict[str, Any]) -> None:
    problem = await world.refused("POST", "/v1/campaigns", "retailer", a_campaign([]) | fault, status=422)
    assert problem["errors"] and all(e["code"] and e["detail"] for e in problem["errors"])


@pytest.mark.parametrize(
    "fault",
    [
        {"lines": []},
        {"lines": [{"product": "$product", "quantity": 0, "amount_minor": 1}]},
        {"lines": [{"product": "$product", "quantity": -1, "amount_minor": 1}]},
        {"lines": [{"product": "$product", "quantity": 10**9, "amount_minor": 1}]},
        {"lines": [{"product": "$product", "quantity": 1, "amount_minor": -1}]},
        {"total_minor": -1},
        {"total_minor": 10.5},
        {"currency": "USD"},
        {"store": "no such"},
        {"at": now(3600)},
        {"at": "0001-01-01T00:00:00Z"},
        {"receipt": ""},
        {"customer": "nobody"},
    ],
)
async def test_wrong_purchases(world: World, regulars: Regulars, fault: dict[str, Any]) -> None:
    text = json.dumps(a_purchase(regulars.customer, "$product") | fault)
    body = json.loads(text.replace("$product", regulars.product))
    await world.refused("POST", "/v1/purchases", "retailer", body)


@pytest.mark.usefixtures("regulars")
async def test_a_name_taken_is_a_conflict(world: World) -> None:
    name = fresh("chain")
    await world.good("POST", "/v1/retailers", "admin", {"name": name, "currency": "EUR"})
    await world.refused("POST", "/v1/retailers", "admin", {"name": name, "currency": "EUR"}, kind="conflict")
    campaign = a_campaign([])
    await world.good("POST", "/v1/campaigns", "retailer", campaign)
    await world.refused("POST", "/v1/campaigns", "retailer", campaign, kind="conflict")
