"""Headers, bodies, paths, queries and methods that no door knows."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator

import pytest

from tests.contract.http_bodies import JSON, a_ping, is_problem
from tests.contract.http_world import Regulars, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        (JSON | {"Content-Encoding": "gzip"}, 415),
        (JSON | {"Content-Encoding": "br"}, 415),
        (JSON | {"Content-Length": "-1"}, 400),
        (JSON | {"Content-Length": "1" * 30}, 400),
        (JSON | {"Content-Length": "99999999"}, 413),
    ],
)
async def test_wrong_content_headers(world: World, regulars: Regulars, headers: dict[str, str], expected: int) -> None:
    body = json.dumps(a_ping(regulars.customer)).encode()
    body = gzip.compress(body) if "Content-Encoding" in headers else body
    before = await world.count()
    is_problem(await world.ask("POST", "/v1/pings", "app", content=body, headers=headers), expected)
    assert await world.count() == before


async def test_a_gzip_bomb_is_never_opened(world: World) -> None:
    bomb = gzip.compress(b"0" * 20_000_000)
    headers = JSON | {"Content-Encoding": "gzip"}
    is_problem(await world.ask("POST", "/v1/pings", "app", content=bomb, headers=headers), 415)


async def test_a_chunked_body_is_bounded(world: World) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536

    is_problem(await world.ask("POST", "/v1/stores", "retailer", content=endless(), headers=JSON), 413)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/campaigns/" + "9" * 5_000,
        "/v1/campaigns/" + "9" * 19,
        "/v1/campaigns/-1",
        "/v1/campaigns/1e3",
        "/v1/campaigns/%00",
        "/v1/campaigns/..%2f..%2fetc%2fpasswd",
        "/v1/campaigns/999999999999999999",
        "/v1/stores/%00",
        "/v1/stores/a%2fb",
        "/v1/stores/..%2f",
        "/v1/stores/" + "x" * 129,
        "/v1/stores/%27%20OR%201%3D1",
        "/v1/stores/" + "x" * 60_000,
        "/v1/stores/",
        "/v1/nothing",
        "/v2/stores",
        "//v1/stores",
        "/",
    ],
)
async def test_wrong_paths(world: World, path: str) -> None:
    answer = await world.ask("GET", path, "retailer")
    assert is_problem(answer) and answer.status_code in (404, 414)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=abc",
        "limit=1&limit=2",
        "limit=%00",
        "limit=" + "9" * 5_000,
        "cursor=zzz",
        "cursor=%ff",
        "cursor=YWZ0ZXI6LTE=",
        "cursor=" + "x" * 100,
        "retailer=0",
        "retailer=-1",
        "retailer=9223372036854775808",
        "retailer=x",
        "unknown=1",
        "&".join(f"a{i}=1" for i in range(8_000)),
        "&".join(f"a{i}=1" for i in range(51)),
        "limit=%ff%fe",
    ],
)
async def test_wrong_queries(world: World, query: str) -> None:
    is_problem(await world.ask("GET", f"/v1/stores?{query}", "retailer"))


@pytest.mark.parametrize(
    "query",
    [
        "q=candle",
        "q=candle&lat=91&lng=0",
        "q=candle&lat=nan&lng=0",
        "q=candle&lat=inf&lng=0",
        "q=candle&lat=1e999&lng=0",
        "q=&lat=60&lng=25",
        "q=!!!&lat=60&lng=25",
        "q=a%00b&lat=60&lng=25",
        "q=%ff&lat=60&lng=25",
        "q=candle&lat=60&lng=25&radius_m=1e9",
        "q=candle&lat=60&lng=25&radius_m=nan",
        "q=candle&lat=60&lng=25&limit=1000",
        "q=candle&lat=60&lng=25&open_now=maybe",
        "q=" + "x" * 201 + "&lat=60&lng=25",
        "q=candle&lat=60&lng=25&customer=nobody",
    ],
)
async def test_wrong_searches(world: World, regulars: Regulars, query: str) -> None:
    before = await world.count()
    is_problem(await world.ask("GET", f"/v1/search?{query}", regulars.token))
    assert await world.count() == before


@pytest.mark.parametrize("text", ["' OR 1=1 --", "% _ \\", "a:* & b", "!a | (b", "<-> 'x'", "\\x00 $1 :name", "🕯️", "ǰ"])
async def test_metacharacters_in_a_search_are_words_or_nothing(world: World, regulars: Regulars, text: str) -> None:
    answer = await world.ask("GET", "/v1/search", regulars.token, params={"q": text, "lat": "89.9", "lng": "179.9"})
    assert answer.status_code == 200 or is_problem(answer, 422)


async def test_metacharacters_are_stored_verbatim(world: World) -> None:
    for text in ("'; DROP TABLE store; --", '%_\\"', "=HYPERLINK(1)", "${7*7}", "<script>", "🕯️", "\u202eabc"):
        store = await world.store(name=text, address=text)
        assert (store["name"], store["address"]) == (text, text)


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD", "PUT"])
async def test_wrong_methods_name_the_right_ones(world: World, method: str) -> None:
    answer = await world.ask(method, "/v1/stores", "retailer")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
