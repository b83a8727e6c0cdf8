"""One key, one call: it is answered once and for all, to its caller alone."""

from __future__ import annotations

import asyncio

import pytest

from engine.http.keys import digest
from offers.coupon import code_hash
from tests.contract.http_bodies import a_campaign, a_redemption, a_store, fresh, is_problem, keyed
from tests.contract.http_world import World, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_same_call_gets_the_same_bytes(world: World) -> None:
    _, code = await world.coupon(await world.customer())
    key = keyed()
    first = await world.ask("POST", "/v1/redemptions", "till", a_redemption(code), **key)
    async with running(world.services.settings) as restarted:
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
        "UPDATE coupon SET valid_until = now() - interval '1 s' WHERE code_hash = $1", code_hash(code)
    )
    is_problem(await world.ask("POST", "/v1/redemptions", "till", body, **key), 410)
    await world.database.execute(
        "UPDATE coupon SET valid_until = now() + interval '1 h' WHERE code_hash = $1", code_hash(code)
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


async def test_a_token_is_minted_once_a_key_and_stored_sealed(world: World) -> None:
    customer, key = await world.customer(), keyed()
    first = await world.ask("POST", f"/v1/customers/{customer}/token", "app", **key)
    await asyncio.sleep(1.1)  # one minted now would say another second
    again = await world.ask("POST", f"/v1/customers/{customer}/token", "app", **key)
    assert first.status_code == 201 and first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    stored = await world.database.fetch("SELECT answer FROM idempotency")
    assert stored and not any(first.json()["token"].encode() in row["answer"] for row in stored)
    other = await world.customer()
    is_problem(await world.ask("POST", f"/v1/customers/{other}/token", "app", **key), 422, "idempotency_key_reused")


async def test_a_verdict_on_a_campaign_is_given_once_a_key(world: World) -> None:
    """Also when a store was made meanwhile, which would change it."""
    code, key = fresh("later"), keyed()
    body = a_campaign([code])
    first = await world.ask("POST", "/v1/campaigns/validate", "retailer", body, **key)
    assert first.status_code == 200 and not first.json()["valid"]
    await world.good("POST", "/v1/stores", "retailer", {"stores": [a_store(code=code)]})
    again = await world.ask("POST", "/v1/campaigns/validate", "retailer", body, **key)
    assert again.content == first.content and again.headers["idempotent-replayed"] == "true"
    assert (await world.good("POST", "/v1/campaigns/validate", "retailer", body))["valid"]
