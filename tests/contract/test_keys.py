"""API keys: told apart by their checksum, changed without a gap, refused within five seconds of being revoked."""

from __future__ import annotations

import pytest

from engine.errors import SettingError
from engine.http import keys
from engine.http.keys import CACHE_S, KeyRing, checksum, is_whole, mint
from engine.http.routes import Route, check, scopes
from engine.http.table import ROUTES
from tests.contract.http_bodies import is_problem
from tests.contract.http_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("scope", keys.SCOPES)
async def test_a_key_is_whole_and_one_letter_off_it_is_not(scope: keys.KeyScope) -> None:
    key = mint(scope)
    assert is_whole(key) and checksum(key[:-6]) == key[-6:]
    wrong = [key[:at] + ("x" if key[at] != "x" else "y") + key[at + 1 :] for at in range(len(key))]
    assert not any(map(is_whole, wrong))
    assert not any(map(is_whole, ("", "cm", "cm_app", key[:-1], key + "x", key.upper(), "sk" + key[2:])))


async def test_a_mistyped_key_asks_the_database_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def find(self: KeyRing, text: bytes, now_s: float) -> None:
        asked.append(text)

    monkeypatch.setattr(KeyRing, "find", find)
    wrong = world.keys["retailer"][:-1] + ("a" if world.keys["retailer"][-1] != "a" else "b")
    is_problem(await world.ask("GET", "/v1/stores", wrong), 401)
    assert asked == []
    is_problem(await world.ask("GET", "/v1/stores", mint("retailer")), 401)
    assert len(asked) == 1


async def test_two_keys_of_a_line_are_live_and_no_third(world: World) -> None:
    body = {"scope": "retailer", "retailer": world.retailer, "name": "rotating"}
    first = await world.good("POST", "/v1/keys", "admin", body)
    second = await world.good("POST", f"/v1/keys/{first['id']}/rotate", "admin", {})
    for key in (first, second):
        await world.good("GET", "/v1/stores", key["key"])
    for key in (first, second):
        is_problem(await world.ask("POST", f"/v1/keys/{key['id']}/rotate", "admin", {}), 409, "conflict")
    assert (await world.ask("DELETE", f"/v1/keys/{first['id']}", "admin")).status_code == 204
    is_problem(await world.ask("GET", "/v1/stores", first["key"]), 401)
    third = await world.good("POST", f"/v1/keys/{second['id']}/rotate", "admin", {"grace_s": 0})
    await world.good("GET", "/v1/stores", third["key"])
    world.services.keys.forget()
    is_problem(await world.ask("GET", "/v1/stores", second["key"]), 401)
    listed = (await world.good("GET", "/v1/keys?limit=1000", "admin"))["keys"]
    assert {key["line"] for key in listed if key["id"] in (first["id"], second["id"], third["id"])} == {first["id"]}
    is_problem(await world.ask("POST", f"/v1/keys/{first['id']}/rotate", "admin", {}), 404)


async def test_a_key_revoked_elsewhere_is_refused_within_five_seconds(world: World) -> None:
    """Another API process's ring: it is told by nobody, and asks again in time. Time is its argument."""
    made = await world.good("POST", "/v1/keys", "admin", {"scope": "app", "name": "elsewhere"})
    ring = KeyRing(world.services.pools.engine)
    text = made["key"].encode()
    assert await ring.find(text, 0.0) is not None
    await world.good("DELETE", f"/v1/keys/{made['id']}", "admin")
    assert await ring.find(text, CACHE_S - 0.01) is not None, "it is remembered, or this proves nothing"
    assert CACHE_S < 5.0 and await ring.find(text, CACHE_S + 0.01) is None


async def test_a_dump_holds_no_key(world: World) -> None:
    rows = await world.database.fetch("SELECT t::text AS row FROM api_key t")
    assert rows and not any(key.split("_", 3)[3] in row["row"] for key in world.keys.values() for row in rows)


async def test_a_route_without_a_scope_fails_at_the_start() -> None:
    one = next(route for route in ROUTES if route.template == "/v1/stores")
    naked = Route(method="GET", path="/v1/new", scopes=scopes(), handler=one.handler, summary="")
    with pytest.raises(SettingError, match="GET /v1/new declares no scope"):
        check([*ROUTES, naked])
