"""Where things are, and what the doors are told: bodies of requests."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

SHOP = (60.1700, 24.9400)
"""The store of the campaign that must fire."""
KIOSK = (60.1800, 24.9400)
"""The store of the campaign that runs out; more than a kilometre away."""
CORNER = (60.1900, 24.9400)
"""The store of the campaign that is stopped."""
STREET = (60.1650, 24.9400)
"""In no fence."""
RARE_COUPONS = 48
PURPOSES = ("location", "history", "marketing_push", "marketing_inapp", "cross_retailer")

_serial = itertools.count(1)


def fresh(noun: str) -> str:
    """A name nobody has used."""
    return f"{noun}-{next(_serial)}-{uuid4().hex[:8]}"


def now(seconds: float = 0.0) -> str:
    """RFC 3339 text of *seconds* from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def person(one: str) -> dict[str, Any]:
    """A customer with every consent and a phone, whose registration names the customer."""
    phone = {"name": "phone", "platform": "android", "kind": "token", "registration": f"registration:{one}"}
    return {"id": one, "zone": "Europe/Helsinki", "consents": dict.fromkeys(PURPOSES, True), "devices": [phone]}


def campaign(code: str, store: str, budget: int, **more: Any) -> dict[str, Any]:
    """An enter campaign at one store, one coupon a customer and day."""
    plain = {
        "code": code,
        "name": code,
        "trigger": "enter",
        "stores": [store],
        "radius_m": 40.0,
        "starts_at": now(-3600),
        "ends_at": now(86_400),
        "schedule": {"only_while_open": False},
        "cap": {"coupons": 1, "per_days": 1},
        "budget_coupons": budget,
        "offer": {"kind": "percent_off", "percent": 15, "valid_for_s": 3600},
        "creative": {"title": "15 % off", "body": "Today only"},
    }
    return plain | more
