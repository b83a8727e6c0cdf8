"""Every bad input this door can meet is answered with a 4xx problem and leaves no row and no log entry."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from engine.http.limits import RateLimit
from engine.settings import Settings
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
    now,
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


JSON = {"Content-Type": "application/json"}

# (method, path, who, a good body) of every door that takes one; `$customer` and `$product` are filled in.
DOORS: list[tuple[str, str, str, Any]] = [
    ("POST", "/v1/pings", "app", a_ping("$customer")),
    ("POST", "/v1/pings", "app", {"pings": [a_ping("$customer")]}),
    ("POST", "/v1/purchases", "retailer", a_purchase("$customer", "$product")),
    ("POST", "/v1/purchases", "retailer", {"purchases": [a_purchase("$customer", "$product")]}),
    ("POST", "/v1/redemptions", "till", a_redemption("0000-0000-0000-0000")),
    ("POST", "/v1/customers", "app", {"customers": [{"id": "one"}]}),
    ("PUT", "/v1/customers/one", "app", {"zone": "Europe/Helsinki"}),
    ("PUT", "/v1/customers/$customer/consents", "app", {"location": False}),
    (
        "PUT",
        "/v1/customers/$customer/devices/phone",
        "app",
        {"platform": "ios", "kind": "token", "registration": "abc"},
    ),
    ("POST", "/v1/receipts", "$token", {"decision": "0" * 32, "kind": "shown", "channel": "fcm"}),
    ("POST", "/v1/stores", "retailer", {"stores": [a_store()]}),
    ("POST", "/v1/products", "retailer", {"products": [a_product()]}),
    ("POST", "/v1/prices", "retailer", {"prices": [{"product": "$product", "price_minor": 1, "currency": "EUR"}]}),
    ("POST", "/v1/campaigns", "retailer", a_campaign([])),
    ("POST", "/v1/campaigns/validate", "retailer", a_campaign([])),
    ("POST", "/v1/retailers", "admin", {"name": "chain", "currency": "EUR"}),
    ("POST", "/v1/keys", "admin", {"scope": "app", "name": "backend"}),
]
NAMES = [f"{method} {path}{' batch' if len(body) == 1 and isinstance(next(iter(body.values())), list) else ''}"
         for method, path, _, body in DOORS]  # fmt: skip


def spoil(good: bytes) -> dict[str, bytes]:
    """What JSON can be instead of what it should be, made from good bytes."""
    name, _, rest = good[1:].partition(b":")
    return {
        "empty": b"",
        "spaces": b"   ",
        "depth bomb": b"[" * 100_000,
        "closed depth bomb": b"[" * 100_000 + b"]" * 100_000,
        "depth bomb inside": b"{" + name + b":" + b"[" * 100_000,
        "NaN": b"{" + name + b":NaN}",
        "Infinity": b"{" + name + b":-Infinity}",
        "1e999": b"{" + name + b":1e999}",
        "5,000 digits": b"{" + name + b":" + b"9" * 5_000 + b"}",
        "2^63": b"{" + name + b":9223372036854775808}",
        "repeated name": b"{" + name + b":" + rest[:-1] + b"," + name + b":" + rest,
        "repeated by escape": b"{" + name + b":" + rest[:-1] + b',"\\u%04x' % name[1] + name[2:] + b":" + rest,
        "lone surrogate": b"{" + name + b':"\\ud800"}',
        "invalid UTF-8": b"{" + name + b':"\xff\xfe"}',
        "byte order mark": b"\xef\xbb\xbf" + good,
        "UTF-16": good.decode().encode("utf-16"),
        "array for object": b"[" + good + b"]",
        "string": b'"text"',
        "null": b"null",
        "true": b"true",
        "trailing garbage": good + b" x",
        "two values": good + good,
        "cut": good[:-1],
        "single quotes": good.replace(b'"', b"'"),
        "comment": b"/* */" + good,
        "raw NUL": good.replace(b":", b":\0", 1),
        "unknown field": good[:-1] + b',"retailer_id":1}',
        "10 MB": b"{" + name + b':"' + b"x" * 10_000_000 + b'"}',
    }


SPOILT = list(spoil(b'{"a":1}'))


async def _filled(world: World) -> dict[str, str]:
    if "$customer" not in world.keys:
        world.keys["$customer"] = await world.customer()
        world.keys["$token"] = await world.token(world.keys["$customer"])
        product = a_product()
        await world.good("POST", "/v1/products", "retailer", {"products": [product]})
        await world.store()
        world.keys["$product"] = product["code"]
    return world.keys


async def _door(world: World, door: tuple[str, str, str, Any]) -> tuple[str, str, str, bytes]:
    method, path, who, body = door
    names = await _filled(world)
    text = json.dumps(body)
    for name in ("$customer", "$product"):
        text, path = text.replace(name, names[name]), path.replace(name, names[name])
    return method, path, names[who], text.encode()


@pytest.mark.parametrize("door", DOORS, ids=NAMES)
async def test_spoilt_json(world: World, door: tuple[str, str, str, Any]) -> None:
    method, path, who, good = await _door(world, door)
    before = await world.count()
    for what, body in spoil(good).items():
        headers = JSON | {"Idempotency-Key": fresh("key")}
        answer = await world.ask(method, path, who, content=body, headers=headers)
        assert is_problem(answer), what
        assert answer.status_code in (400, 413, 422), (what, answer.status_code)
    assert await world.count() == before


@pytest.mark.parametrize("door", DOORS, ids=NAMES)
async def test_wrong_types_and_nul_in_every_field(world: World, door: tuple[str, str, str, Any]) -> None:
    method, path, who, good = await _door(world, door)
    before = await world.count()
    for what, body in _mutations(json.loads(good)):
        headers = {"Idempotency-Key": fresh("key")}
        answer = await world.ask(method, path, who, body, headers=headers)
        assert is_problem(answer), what
    assert await world.count() == before


def _mutations(good: Any) -> list[tuple[str, Any]]:
    """Each leaf of *good* replaced by what it must not be."""
    found: list[tuple[str, Any]] = []
    for where, value in _leaves(good):
        wrong: list[Any] = [[], {}, "x\0y", {"a": {"b": 1}}]
        if isinstance(value, bool):
            wrong += [1, 0, "true"]
        elif isinstance(value, int | float):
            wrong += [True, "1", 2**63, -(2**63) - 1, 1e308, -1e9]
        else:
            wrong += [True, 1, "x" * 5_000]
            wrong += [""] if where[-1] != "body" else []  # a notification may have no second line
        found += [(f"{where}={str(one)[:30]!r}", _replaced(good, where, one)) for one in wrong]
    return found


def _leaves(value: Any, where: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict):
        return [leaf for name, item in value.items() for leaf in _leaves(item, (*where, name))]
    if isinstance(value, list) and value:
        return [leaf for index, item in enumerate(value) for leaf in _leaves(item, (*where, index))]
    return [(where, value)] if not isinstance(value, list) else []


def _replaced(good: Any, where: tuple[Any, ...], new: Any) -> Any:
    copy = json.loads(json.dumps(good))
    spot = copy
    for step in where[:-1]:
        spot = spot[step]
    spot[where[-1]] = new
    return copy


async def _refused(world: World, method: str, path: str, who: str, body: Any, **expected: Any) -> Any:
    before = await world.count()
    answer = await world.ask(method, path, who, body, headers={"Idempotency-Key": fresh("key")})
    assert is_problem(answer, **expected)
    assert await world.count() == before
    return answer.json()


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
async def test_faulty_pings(world: World, fault: dict[str, Any], column: str, code: str) -> None:
    customer = (await _filled(world))["$customer"]
    problem = await _refused(world, "POST", "/v1/pings", "app", a_ping(customer) | fault, status=422)
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
async def test_pings_refused_for_what_they_say(world: World, fault: dict[str, Any], kind: str) -> None:
    customer = (await _filled(world))["$customer"]
    await _refused(world, "POST", "/v1/pings", "app", a_ping(customer) | fault, kind=kind)
    await _refused(world, "POST", "/v1/pings", "app", {"pings": [a_ping(customer) | fault]}, kind=kind)


async def test_all_faulty_pings_of_a_batch_are_told(world: World) -> None:
    customer = (await _filled(world))["$customer"]
    pings = [a_ping(customer) for _ in range(50)]
    pings[6] |= {"lat": 95, "lng": -200}
    pings[41] = {"customer": customer}
    problem = await _refused(world, "POST", "/v1/pings", "app", {"pings": pings}, status=422)
    assert [(e["row"], e["column"]) for e in problem["errors"]] == [
        (7, "lat"),
        (7, "lng"),
        (42, "lat"),
        (42, "lng"),
        (42, "at"),
    ]


async def test_too_many_pings(world: World) -> None:
    customer = (await _filled(world))["$customer"]
    await _refused(world, "POST", "/v1/pings", "app", {"pings": []}, status=422)
    small = {"customer": customer, "lat": 1, "lng": 1, "at": now()}
    problem = await _refused(world, "POST", "/v1/pings", "app", {"pings": [small] * 5_001}, status=422)
    assert problem["errors"][0]["column"] == "pings"
    await _refused(world, "POST", "/v1/pings", "app", {"pings": [small] * 100_000}, status=413)


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
    problem = await _refused(world, "POST", "/v1/stores", "retailer", {"stores": stores}, status=422)
    assert [(e["row"], e["column"]) for e in problem["errors"]] == [(13, column)]


async def test_all_wrong_stores_are_told(world: World) -> None:
    stores = [a_store() for _ in range(12)]
    for index, (fault, _) in enumerate(STORE_FAULTS):
        stores[index] |= fault
    problem = await _refused(world, "POST", "/v1/stores", "retailer", {"stores": stores}, status=422)
    shaped = {row for row, (fault, _) in enumerate(STORE_FAULTS, 1) if not {"zone", "opening_hours"} & set(fault)} - {2}
    assert {e["row"] for e in problem["errors"]} >= shaped
    same = a_store()
    problem = await _refused(world, "POST", "/v1/stores", "retailer", {"stores": [same, a_store(), same]}, status=422)
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
async def test_wrong_prices(world: World, fault: dict[str, Any], column: str) -> None:
    product = (await _filled(world))["$product"]
    good = {"product": product, "price_minor": 100, "currency": "EUR"}
    problem = await _refused(world, "POST", "/v1/prices", "retailer", {"prices": [good | fault]}, status=422)
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
async def test_wrong_campaigns(world: World, fault: dict[str, Any]) -> None:
    await _filled(world)
    problem = await _refused(world, "POST", "/v1/campaigns", "retailer", a_campaign([]) | fault, status=422)
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
async def test_wrong_purchases(world: World, fault: dict[str, Any]) -> None:
    names = await _filled(world)
    body = json.loads(json.dumps(a_purchase("$customer", "$product") | fault).replace("$product", names["$product"]))
    if body["customer"] == "$customer":
        body["customer"] = names["$customer"]
    await _refused(world, "POST", "/v1/purchases", "retailer", body)


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
async def test_wrong_content_headers(world: World, headers: dict[str, str], expected: int) -> None:
    names = await _filled(world)
    body = json.dumps(a_ping(names["$customer"])).encode()
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
async def test_wrong_searches(world: World, query: str) -> None:
    token = (await _filled(world))["$token"]
    before = await world.count()
    is_problem(await world.ask("GET", f"/v1/search?{query}", token))
    assert await world.count() == before


@pytest.mark.parametrize("text", ["' OR 1=1 --", "% _ \\", "a:* & b", "!a | (b", "<-> 'x'", "\\x00 $1 :name", "🕯️", "ǰ"])
async def test_metacharacters_in_a_search_are_words_or_nothing(world: World, text: str) -> None:
    token = (await _filled(world))["$token"]
    answer = await world.ask("GET", "/v1/search", token, params={"q": text, "lat": "89.9", "lng": "179.9"})
    assert answer.status_code == 200 or is_problem(answer, 422)


async def test_metacharacters_are_stored_verbatim(world: World) -> None:
    for text in ("'; DROP TABLE store; --", '%_\\"', "=HYPERLINK(1)", "${7*7}", "<script>", "🕯️", "\u202eabc"):
        store = await world.store(name=text, address=text)
        assert (store["name"], store["address"]) == (text, text)


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD", "PUT"])
async def test_wrong_methods_name_the_right_ones(world: World, method: str) -> None:
    answer = await world.ask(method, "/v1/stores", "retailer")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


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


async def test_each_scope_is_kept_out_of_the_others(world: World) -> None:
    """One route a scope; every other scope gets 403 there, and nobody 401."""
    token = (await _filled(world))["$token"]
    who = {"admin": "admin", "app": "app", "retailer": "retailer", "till": "till", "customer": token}
    doors = {
        ("GET", "/v1/keys"): {"admin"},
        ("GET", "/v1/customers/one"): {"app"},
        ("GET", "/v1/stores"): {"retailer", "admin"},
        ("GET", "/v1/coupons"): {"customer"},
        ("GET", "/v1/stream"): {"customer"},
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
        await _refused(world, "POST", "/v1/keys", "admin", body, status=422)
    await _refused(world, "POST", "/v1/keys", "admin", {"scope": "till", "name": "x", "retailer": 10**9}, status=422)
    await _refused(world, "POST", "/v1/keys", "admin", {"scope": "root", "name": "x"}, status=422)


async def test_a_name_taken_is_a_conflict(world: World) -> None:
    name = fresh("chain")
    await world.good("POST", "/v1/retailers", "admin", {"name": name, "currency": "EUR"})
    await _refused(world, "POST", "/v1/retailers", "admin", {"name": name, "currency": "EUR"}, kind="conflict")
    await _filled(world)
    campaign = a_campaign([])
    await world.good("POST", "/v1/campaigns", "retailer", campaign)
    await _refused(world, "POST", "/v1/campaigns", "retailer", campaign, kind="conflict")


async def test_guessing_codes_is_slowed_down(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.services, "guess_rate", RateLimit(2))
    answers = []
    for guess in range(3):
        headers = {"Idempotency-Key": fresh("key")}
        code = f"{guess:016}"
        answers.append(await world.ask("POST", "/v1/redemptions", "till", a_redemption(code), headers=headers))
    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
