"""What the API tells of itself: a complete description, and nothing secret."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from engine.errors import SettingError
from engine.http.app import build
from engine.http.routes import Route, scopes
from engine.http.table import ROUTES
from tests.contract.http_bodies import a_ping, a_redemption, keyed
from tests.contract.http_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
