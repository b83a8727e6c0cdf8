"""Who may call: keys and tokens that are wrong, out of scope, expired or revoked; consent that is withdrawn."""

from __future__ import annotations

import asyncio

import pytest

from engine.http import tokens
from engine.http.keys import CACHE_S, ensure_admin_key, list_keys
from tests.contract.http_bodies import a_ping, is_problem
from tests.contract.http_world import Regulars, World, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer cm_app_abcdefgh_" + "x" * 43,
        "Bearer cm_app_" + "x" * 5_000,
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIiwiZXhwIjo5OTk5OTk5OTk5fQ.",
        "Bearer a.b.c",
        "Bearer \x7f",
        "bearer ' OR 1=1",
    ],
)
async def test_wrong_keys(world: World, authorization: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    is_problem(await world.ask("POST", "/v1/pings", body=a_ping("nobody"), headers=headers), 401)


async def test_each_scope_is_kept_out_of_the_others(world: World, regulars: Regulars) -> None:
    """One route a scope; every other scope gets 403 there, and nobody 401."""
    who = {"admin": "admin", "app": "app", "retailer": "retailer", "till": "till", "customer": regulars.token}
    doors = {
        ("GET", "/v1/keys"): {"admin"},
        ("GET", "/v1/customers/one"): {"app"},
        ("GET", "/v1/stores"): {"retailer", "admin"},
        ("GET", "/v1/coupons"): {"customer"},
        ("GET", "/v1/stream"): {"customer"},
        ("GET", "/v1/transitions"): {"app"},
        ("GET", "/v1/search"): {"customer", "app"},
        ("POST", "/v1/redemptions"): {"till"},
        ("POST", "/v1/pings"): {"app", "customer"},
        ("POST", "/v1/purchases"): {"app", "retailer"},
        ("POST", "/v1/retailers"): {"admin"},
    }
    for (method, path), admitted in doors.items():
        is_problem(await world.ask(method, path), 401)
        for scope in who.keys() - admitted:
            is_problem(await world.ask(method, path, who[scope]), 403)


async def test_keys_that_make_no_sense(world: World) -> None:
    for body in ({"scope": "till", "name": "x"}, {"scope": "app", "name": "x", "retailer": world.retailer}):
        await world.refused("POST", "/v1/keys", "admin", body, status=422)
    await world.refused("POST", "/v1/keys", "admin", {"scope": "till", "name": "x", "retailer": 10**9}, status=422)
    await world.refused("POST", "/v1/keys", "admin", {"scope": "root", "name": "x"}, status=422)


async def test_a_revocation_bites_at_every_door(world: World) -> None:
    """What another process changes is forgotten here within half a second."""
    customer = await world.customer()
    async with running(world.services.settings) as other:
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


async def _heard(world: World) -> None:
    """Wait until the process listens on Valkey."""
    async with asyncio.timeout(5):
        while not world.services.directory._fresh():
            await asyncio.sleep(0.01)
