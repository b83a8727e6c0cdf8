"""The customer's coupons. Codes are made again from the coupon's id each time, or are the retailer's own."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from engine.http.call import Call
from engine.http.owncodes import unseal
from engine.http.problems import Problem
from engine.postgres import queries
from offers.campaign import Offer
from offers.coupon import code


class Coupon(msgspec.Struct, frozen=True):
    """A coupon as its customer sees it. `decision` is the tag of its notification."""

    id: UUID
    decision: UUID
    code: str
    state: Literal["issued", "redeemed", "void", "expired"]
    title: str
    offer: Offer
    retailer: str
    store: str
    store_name: str
    issued_at: datetime.datetime
    valid_until: datetime.datetime
    redeemed_at: datetime.datetime | None

    def __repr__(self) -> str:  # codes stay out of logs and tracebacks
        return f"Coupon({self.id})"


class Coupons(msgspec.Struct, frozen=True):
    """The latest coupons, newest first."""

    coupons: list[Coupon]


class CouponsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50


async def page(call: Call) -> Coupons:
    """The latest coupons."""
    rows = queries.coupons.list_coupons(call.connection, customer=call.caller.number, most=call.query.limit)
    return Coupons([_shown(call, row) async for row in rows])


async def one(call: Call) -> Coupon:
    """One coupon; somebody else's does not exist."""
    row = await queries.coupons.get_coupon(call.connection, customer=call.caller.number, id=call.params["coupon"])
    if row is None:
        raise Problem("not_found")
    return _shown(call, row)


def _shown(call: Call, row: Any) -> Coupon:
    values = dict(row)
    offer, sealed = msgspec.convert(values.pop("offer"), Offer), values.pop("sealed")
    key = call.services.secrets.coupon_key
    return Coupon(**values, offer=offer, code=unseal(key, sealed) if sealed is not None else code(key, row["id"]))
