"""POST /v1/redemptions: the till asks once, the database decides once."""

from __future__ import annotations

import contextlib
from time import monotonic
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from engine.http.call import Call
from engine.http.owncodes import own_hash
from engine.http.problems import Problem
from engine.http.wire import Code, Currency, Minor, Text
from engine.postgres import queries
from offers.campaign import Offer
from offers.coupon import code_hash, discount_minor, normalise
from offers.errors import InvalidCode


class Redemption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code at a till. `basket_minor` is the price of what the offer covers, before the discount."""

    code: Annotated[str, Meta(min_length=1, max_length=64)]
    basket_minor: Minor
    currency: Currency
    till: Text
    store: Code | None = None

    def __repr__(self) -> str:  # codes stay out of logs and tracebacks
        return "Redemption()"


class Redeemed(msgspec.Struct, frozen=True):
    """What the till takes off."""

    coupon: UUID
    discount_minor: int
    currency: str
    offer: Offer


async def post(call: Call, body: Redemption) -> Redeemed:
    """Redeem a coupon, at most once whatever the number of tills."""
    coupon = await queries.redemptions.find_coupon(call.connection, hashes=_hashes(call, body.code))
    if coupon is None:
        raise _unknown(call)
    hashed = coupon["code_hash"]
    offer = msgspec.convert(coupon["offer"], Offer)
    if body.currency != coupon["currency"]:
        raise Problem("wrong_currency", f"the coupon is in {coupon['currency']}")
    if body.store is not None and body.store != coupon["store_code"]:
        raise Problem("wrong_store", "the offer was made for another store")
    if body.basket_minor < offer.minimum_purchase_minor:
        raise Problem("below_minimum", f"the offer begins at {offer.minimum_purchase_minor} minor units")
    off = discount_minor(offer, body.basket_minor)
    redeemed = await queries.redemptions.redeem(
        call.connection,
        code_hash=hashed,
        till=body.till,
        store=coupon["store"] if body.store is not None else None,
        basket_minor=body.basket_minor,
        discount_minor=off,
        currency=body.currency,
    )
    if redeemed is None:
        raise await _why_not(call, hashed)
    return Redeemed(redeemed, off, body.currency, offer)


def _hashes(call: Call, text: str) -> list[bytes]:
    """By which a code may be stored: as the retailer's own, or as one of ours."""
    found = [own_hash(call.services.secrets.coupon_key, call.retailer, text)]
    with contextlib.suppress(InvalidCode):
        found.append(code_hash(normalise(text)))
    return found


def _unknown(call: Call) -> Problem:
    """404, until the key has guessed too often: guessing 80 bits is hopeless, and soon it is not even listened to."""
    if call.services.guess_rate.take(call.caller.name, monotonic()) < 0:
        return Problem("too_many_requests", "too many unknown codes", headers=[(b"retry-after", b"1")])
    return Problem("not_found", "there is no such coupon")


async def _why_not(call: Call, hashed: bytes) -> Problem:
    """Why the one statement moved nothing; read after it, so it sees what another till did meanwhile."""
    coupon: Any = await queries.redemptions.find_coupon(call.connection, hashes=[hashed])
    if coupon["state"] == "redeemed":
        return Problem("already_redeemed")
    return Problem("coupon_void") if coupon["state"] == "void" else Problem("expired")
