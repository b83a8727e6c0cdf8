"""MessagePack beside JSON: the same types, the same answers, the same problems; what is no MessagePack is a 400."""

from __future__ import annotations

import datetime
import json
import struct
from typing import Any

import msgpack
import pytest

from engine.log.keys import PARTITIONS, log_key
from tests.contract.http_bodies import a_ping, a_purchase, a_redemption, is_problem, keyed
from tests.contract.http_world import Regulars, World
from tests.contract.test_http_bad_json import DOORS, NAMES, Door, mutations, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")

MSGPACK = {"Content-Type": "application/msgpack"}


async def packed(world: World, method: str, path: str, who: str, body: Any, **headers: str) -> Any:
    """Send *body*, packed unless it is bytes already."""
    content = body if isinstance(body, bytes) else msgpack.packb(body)
    return await world.ask(method, path, who, content=content, headers=MSGPACK | headers)


async def test_a_batch_of_pings_gets_the_answer_that_json_gets(world: World, regulars: Regulars) -> None:
    good, nobody = a_ping(regulars.customer), a_ping("nobody")
    bodies: list[Any] = [good, {"pings": [good, nobody, good | {"lat": 0.0, "lng": 0.0}]}, nobody, {"pings": [nobody]}]
    for body in bodies:
        as_json = await world.ask("POST", "/v1/pings", "app", body)
        as_msgpack = await packed(world, "POST", "/v1/pings", "app", body)
        assert (as_msgpack.status_code, as_msgpack.json()) == (as_json.status_code, as_json.json())


async def test_the_log_has_the_same_columns(world: World, regulars: Regulars) -> None:
    at = datetime.datetime.now(datetime.UTC).replace(microsecond=7000)
    body = {"pings": [a_ping(regulars.customer, at=at.isoformat()), a_ping(regulars.customer, at=at.isoformat())]}
    stamped = {"pings": [one | {"at": at} for one in body["pings"]]}  # the timestamp extension
    await world.good("POST", "/v1/pings", "app", body)
    assert (await packed(world, "POST", "/v1/pings", "app", body)).status_code == 202
    content = msgpack.packb(stamped, datetime=True)
    assert (await packed(world, "POST", "/v1/pings", "app", content)).status_code == 202
    p = await world.number(regulars.customer) % PARTITIONS
    newest: Any = await world.services.valkey.xrevrange(log_key(p), count=3)
    assert len({fields[b"v"] for _, fields in newest}) == 1


async def test_every_spelling_of_a_batch_is_one(world: World, regulars: Regulars) -> None:
    rows = msgpack.packb([a_ping(regulars.customer)])
    for head in (b"\x81", b"\xde\x00\x01", b"\xdf\x00\x00\x00\x01"):
        for name in (b"\xa5", b"\xd9\x05", b"\xda\x00\x05", b"\xdb\x00\x00\x00\x05"):
            answer = await packed(world, "POST", "/v1/pings", "app", head + name + b"pings" + rows)
            assert answer.status_code == 202, (head, name, answer.text)


async def test_an_idempotency_key_works_the_same(world: World) -> None:
    _, code = await world.coupon(await world.customer())
    body, key = a_redemption(code), keyed()["headers"]
    first = await packed(world, "POST", "/v1/redemptions", "till", body, **key)
    again = await packed(world, "POST", "/v1/redemptions", "till", body, **key)
    assert (first.status_code, again.content, again.headers["idempotent-replayed"]) == (201, first.content, "true")
    other = await packed(world, "POST", "/v1/redemptions", "till", body | {"basket_minor": 1}, **key)
    is_problem(other, 422, "idempotency_key_reused")
    # The request is its bytes: the same call in another encoding is another request.
    is_problem(await world.ask("POST", "/v1/redemptions", "till", body, headers=key), 422, "idempotency_key_reused")


async def test_receipts_are_stored_once_in_either_encoding(world: World, regulars: Regulars) -> None:
    path = f"/v1/purchases?retailer={world.retailer}"
    body = a_purchase(regulars.customer, regulars.product)
    for answer in (await packed(world, "POST", path, "app", body), await world.ask("POST", path, "app", body)):
        assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    stored = "SELECT count(*) FROM purchase WHERE receipt = $1"
    assert await world.database.fetchval(stored, body["receipt"]) == 1


def spoil(good: dict[str, Any]) -> dict[str, bytes]:
    """What bytes can be instead of good MessagePack."""
    bytes_ = msgpack.packb(good)
    name = next(iter(good))
    head, item = bytes_[:1], msgpack.packb(name) + msgpack.packb(good[name])
    one_more = bytes([bytes_[0] + 1])
    long_name = b"\xd9" + bytes([len(name)]) + name.encode()
    return {
        "empty": b"",
        "never used": b"\xc1",
        "JSON": json.dumps(good).encode(),
        "cut": bytes_[:-1],
        "trailing garbage": bytes_ + b"\xc0",
        "two values": bytes_ + bytes_,
        "nil": b"\xc0",
        "array for map": b"\x91" + bytes_,
        "a promised gigabyte": b"\xdd\x3f\xff\xff\xff",
        "depth bomb": b"\x91" * 100_000,
        "depth bomb inside": head + msgpack.packb(name) + b"\x91" * 100_000,
        "closed depth bomb": head + msgpack.packb(name) + b"\x91" * 100_000 + b"\xc0",
        "repeated name": one_more + item + bytes_[1:],
        "repeated in a longer spelling": one_more + long_name + msgpack.packb(good[name]) + bytes_[1:],
        "a number for a name": one_more + b"\x01\x01" + bytes_[1:],
        "bytes for a name": one_more + b"\xc4\x01a\x01" + bytes_[1:],
        "a map for a name": one_more + b"\x80\x01" + bytes_[1:],
        "invalid UTF-8": head + msgpack.packb(name) + b"\xa2\xff\xfe" + bytes_[1 + len(item) :],
        "NaN": head + msgpack.packb(name) + msgpack.packb(float("nan")) + bytes_[1 + len(item) :],
        "an extension": head + msgpack.packb(name) + b"\xd4\x05\x00" + bytes_[1 + len(item) :],
        "unknown field": one_more + bytes_[1:] + msgpack.packb("retailer_id") + b"\x01",
    }


@pytest.mark.parametrize("door", DOORS, ids=NAMES)
async def test_what_is_no_good_messagepack_is_refused(world: World, regulars: Regulars, door: Door) -> None:
    method, path, who, good = opened(door, regulars)
    before = await world.count()
    for what, body in spoil(json.loads(good)).items():
        answer = await packed(world, method, path, who, body, **keyed()["headers"])
        assert is_problem(answer), what
        assert answer.status_code in (400, 422), (what, answer.status_code)
        if what in ("empty", "never used", "cut", "trailing garbage", "two values", "repeated name"):
            assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed_msgpack"), what
    assert await world.count() == before


@pytest.mark.parametrize("door", DOORS, ids=NAMES)
async def test_a_wrong_value_gets_the_faults_that_json_gets(world: World, regulars: Regulars, door: Door) -> None:
    method, path, who, good = opened(door, regulars)
    before = await world.count()
    for what, body in mutations(json.loads(good)):
        try:
            content = msgpack.packb(body)
        except OverflowError:  # beyond 64 bits: MessagePack has no such number
            continue
        as_json = await world.ask(method, path, who, body, **keyed())
        as_msgpack = await packed(world, method, path, who, content, **keyed()["headers"])
        assert is_problem(as_msgpack), what
        assert _told(as_msgpack) == _told(as_json), what
    assert await world.count() == before


def _told(answer: Any) -> Any:
    body = answer.json()
    return body["status"], body["type"], [(f["code"], f.get("column"), f.get("row")) for f in body.get("errors", [])]


@pytest.mark.parametrize("field", ["lat", "lng", "accuracy_m"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("width", ["d", "f"])
async def test_a_ping_has_finite_numbers(
    world: World, regulars: Regulars, field: str, number: float, width: str
) -> None:
    spelt = {"d": b"\xcb" + struct.pack(">d", number), "f": b"\xca" + struct.pack(">f", number)}[width]
    good = a_ping(regulars.customer)
    del good[field]
    one = bytes([0x80 | (len(good) + 1)]) + msgpack.packb(good)[1:] + msgpack.packb(field) + spelt
    before = await world.count()
    for body in (one, b"\x81\xa5pings\x91" + one):
        answer = await packed(world, "POST", "/v1/pings", "app", body)
        assert is_problem(answer)
        # A latitude out of range is told before its number is looked at.
        assert answer.status_code == 400 or (field != "accuracy_m" and answer.status_code == 422)
    assert await world.count() == before


@pytest.mark.parametrize("declared", ["application/msgpack; charset=utf-8", "application/x-msgpack", "msgpack"])
async def test_other_media_types_are_refused(world: World, regulars: Regulars, declared: str) -> None:
    headers = {"Content-Type": declared}
    content = msgpack.packb(a_ping(regulars.customer))
    is_problem(await world.ask("POST", "/v1/pings", "app", content=content, headers=headers), 415)


async def test_the_document_names_both(world: World) -> None:
    paths = (await world.good("GET", "/openapi.json"))["paths"]
    for path in ("/v1/pings", "/v1/purchases", "/v1/redemptions"):
        content = paths[path]["post"]["requestBody"]["content"]
        assert content["application/json"] == content["application/msgpack"]
