"""The operator's view of API keys: made, listed, revoked."""

from __future__ import annotations

import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from engine.http.call import Call
from engine.http.keys import KeyScope, create_key, revoke_key, rotate_key
from engine.http.paging import after, next_link
from engine.http.problems import Fault, Problem
from engine.http.wire import Number, Text
from engine.postgres import queries


class NewApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a key shall be for; retailer and till keys name their retailer."""

    scope: KeyScope
    name: Text
    retailer: Number | None = None


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`grace_s`: how long the old key is still good; null: until it is revoked."""

    grace_s: Annotated[int, Meta(ge=0, le=90 * 86_400)] | None = None


class ShownOnce(msgspec.Struct, frozen=True):
    """The only answer that holds the key itself."""

    id: Number
    prefix: str
    key: str

    def __repr__(self) -> str:
        return f"ShownOnce({self.prefix})"


class ApiKeyRow(msgspec.Struct, frozen=True):
    """A key as listed."""

    id: Number
    prefix: str
    scope: KeyScope
    retailer: Number | None
    name: str
    line: Number
    """The first key of its line: keys that followed one another."""
    created_at: datetime.datetime
    expires_at: datetime.datetime | None
    revoked_at: datetime.datetime | None


class ApiKeys(msgspec.Struct, frozen=True):
    """One page."""

    keys: list[ApiKeyRow]
    next: str | None = None


async def create(call: Call, body: NewApiKey) -> ShownOnce:
    """Make a key."""
    if (body.scope in ("retailer", "till")) != (body.retailer is not None):
        fault = Fault("value", "retailer and till keys name their retailer, others do not", "retailer")
        raise Problem("invalid", errors=[fault])
    key = await create_key(call.connection, body.scope, body.retailer, body.name)
    return ShownOnce(key.id, key.prefix, key.text)


async def rotate(call: Call, body: Rotation) -> ShownOnce:
    """Make a successor; both are good until the old one is revoked or its grace is over."""
    key = await rotate_key(call.connection, call.params["key"], body.grace_s)
    if key is None:
        raise Problem("not_found", "there is no such live key")
    return ShownOnce(key.id, key.prefix, key.text)


async def page(call: Call) -> ApiKeys:
    """Keys by id, revoked ones too."""
    rows = queries.keys.list_keys(call.connection, after=after(call), most=call.query.limit)
    found = [ApiKeyRow(**dict(row)) async for row in rows]
    return ApiKeys(found, next_link(call, [one.id for one in found]))


async def revoke(call: Call) -> None:
    """Refused from now on here, and within five seconds by other API processes."""
    if not await revoke_key(call.connection, call.params["key"]):
        raise Problem("not_found")

    async def forget() -> None:
        call.services.keys.forget()

    call.after_commit.append(forget)
