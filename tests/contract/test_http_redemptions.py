"""A coupon is redeemed at most once, and never for more than the basket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contract.http_bodies import a_redemption, is_problem, keyed
from tests.contract.http_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
