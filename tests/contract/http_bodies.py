"""What requests say: good bodies that a test spoils, names nobody has used, and what a refusal looks like."""

from __future__ import annotations

import datetime
import itertools
from typing import Any
from uuid import uuid4

import httpx

HELSINKI = (60.1699, 24.9384)
JSON = {"Content-Type": "application/json"}
_serial = itertools.count(1)


def fresh(noun: str) -> str:
    """A name nobody has used."""
    return f"{noun}-{next(_serial)}-{uuid4().hex[:8]}"


def now(seconds: float = 0.0) -> str:
    """RFC 3339 text of *seconds* from now."""
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return moment.isoformat().replace("+00:00", "Z")


def a_ping(customer: str, **more: Any) -> dict[str, Any]:
    """A good ping."""
    return {"customer": customer, "lat": HELSINKI[0], "lng": HELSINKI[1], "accuracy_m": 12.5, "at": now()} | more


def a_store(**more: Any) -> dict[str, Any]:
    """A good store."""
    good = {
        "code": fresh("store"),
        "name": "Candle Shop",
        "lat": HELSINKI[0],
        "lng": HELSINKI[1],
        "zone": "Europe/Helsinki",
        "country": "FI",
        "opening_hours": "24/7",
    }
    return good | more


def a_product(**more: Any) -> dict[str, Any]:
    """A good product."""
    return {"code": fresh("product"), "name": "Beeswax Candle", "brand": "Bee", "category": "Candles"} | more


def a_campaign(stores: list[str], **offer: Any) -> dict[str, Any]:
    """A good campaign for *stores*."""
    return {
        "code": fresh("campaign"),
        "name": "Light",
        "trigger": "enter",
        "stores": stores,
        "radius_m": 50.0,
        "starts_at": now(-60),
        "ends_at": now(86_400),
        "cap": {"coupons": 1, "per_days": 1},
        "budget_coupons": 100,
        "offer": {"kind": "percent_off", "percent": 15, "valid_for_s": 3600} | offer,
        "creative": {"title": "15 % off", "body": "Today only"},
    }


def a_purchase(customer: str, product: str, **more: Any) -> dict[str, Any]:
    """A good receipt."""
    good = {
        "customer": customer,
        "receipt": fresh("receipt"),
        "at": now(-30),
        "total_minor": 1000,
        "currency": "EUR",
        "lines": [{"product": product, "quantity": 2, "amount_minor": 1000}],
    }
    return good | more


def a_redemption(code: str, **more: Any) -> dict[str, Any]:
    """A good call of a till."""
    return {"code": code, "basket_minor": 2000, "currency": "EUR", "till": "till 1"} | more


def is_problem(answer: httpx.Response, status: int | None = None, kind: str | None = None) -> bool:
    """Assert that *answer* is a 4xx problem as RFC 9457 has it, of that status and kind."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json", answer.headers
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"].startswith("/problems/") and body["title"], body
    assert status in (None, answer.status_code), (status, answer.text)
    assert kind is None or body["type"] == f"/problems/{kind}", (kind, body)
    return True


def keyed(key: str | None = None) -> dict[str, Any]:
    """The header that makes a call idempotent, with a key of its own unless one is given."""
    return {"headers": {"Idempotency-Key": key or fresh("key")}}
