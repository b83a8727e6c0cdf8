"""Bounds of rate, of guesses, of work under way and of the log."""

from __future__ import annotations

import pytest

from engine.http.limits import Gate, RateLimit
from tests.contract.http_bodies import a_ping, a_redemption, keyed
from tests.contract.http_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


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


async def test_guessing_codes_is_slowed_down(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.services, "guess_rate", RateLimit(2))
    answers = []
    for guess in range(3):
        body = a_redemption(f"{guess:016}")
        answers.append(await world.ask("POST", "/v1/redemptions", "till", body, **keyed()))
    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
