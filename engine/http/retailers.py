"""Retailers: the operator makes them."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from engine.http.call import Call
from engine.http.paging import after, next_link
from engine.http.wire import Currency, Number, Text
from engine.postgres import queries


class NewRetailer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A chain; all its amounts are in one currency."""

    name: Text
    currency: Currency


class Retailer(msgspec.Struct, frozen=True):
    """A retailer as stored."""

    id: Number
    name: str
    currency: str
    created_at: datetime.datetime


class Retailers(msgspec.Struct, frozen=True):
    """One page."""

    retailers: list[Retailer]
    next: str | None = None


async def create(call: Call, body: NewRetailer) -> Retailer:
    """Make a retailer; its name is taken only once."""
    return _shown(await queries.retailers.insert_retailer(call.connection, name=body.name, currency=body.currency))


async def page(call: Call) -> Retailers:
    """Retailers by id."""
    rows = queries.retailers.list_retailers(call.connection, after=after(call), most=call.query.limit)
    found = [_shown(row) async for row in rows]
    return Retailers(found, next_link(call, [one.id for one in found]))


def _shown(row: Any) -> Retailer:
    return Retailer(row["id"], row["name"], row["currency"], row["created_at"])
