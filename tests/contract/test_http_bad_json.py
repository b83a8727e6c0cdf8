"""Bytes that are no JSON, and JSON with wrong types: every door answers a 4xx problem and keeps nothing of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.http_bodies import (
    JSON,
    a_campaign,
    a_ping,
    a_product,
    a_purchase,
    a_redemption,
    a_store,
    is_problem,
    keyed,
)
from tests.contract.http_world import Regulars, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


# (method, path, who, a good body) of every door that takes one; `$customer` and `$product` are filled in.
Door = tuple[str, str, str, Any]
DOORS: list[Door] = [
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


def opened(door: Door, regulars: Regulars) -> tuple[str, str, str, bytes]:
    """(method, path, who, good body) with the regulars' names filled in."""
    method, path, who, body = door
    text = json.dumps(body)
    for name, one in (("$customer", regulars.customer), ("$product", regulars.product)):
        text, path = text.replace(name, one), path.replace(name, one)
    return method, path, who.replace("$token", regulars.token), text.encode()


@pytest.mark.parametrize("door", DOORS, ids=NAMES)
async def test_spoilt_json(world: World, regulars: Regulars, door: Door) -> None:
    method, path, who, good = opened(door, regulars)
    before = await world.count()
    for what, body in spoil(good).items():
        headers = JSON | keyed()["headers"]
        answer = await world.ask(method, path, who, content=body, headers=headers)
        assert is_problem(answer), what
        assert answer.status_code in (400, 413, 422), (what, answer.status_code)
    assert await world.count() == before


@pytest.mark.parametrize("door", DOORS, ids=NAMES)
async def test_wrong_types_and_nul_in_every_field(world: World, regulars: Regulars, door: Door) -> None:
    method, path, who, good = opened(door, regulars)
    before = await world.count()
    for what, body in mutations(json.loads(good)):
        answer = await world.ask(method, path, who, body, **keyed())
        assert is_problem(answer), what
    assert await world.count() == before


def mutations(good: Any) -> list[tuple[str, Any]]:
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
