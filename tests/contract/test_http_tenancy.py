"""A retailer neither sees nor changes what is its neighbour's."""

from __future__ import annotations

import pytest

from tests.contract.http_bodies import (
    a_campaign,
    a_product,
    a_purchase,
    a_redemption,
    a_store,
    fresh,
    is_problem,
    keyed,
)
from tests.contract.http_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
