"""The message that every peer sends, as the sender's own look."""

from __future__ import annotations

from typing import Any

TITLE, BODY = "15 % off", "You are next door: come in."
TAG = "0190b3a4-7c1d-7e4f-8a2b-3c4d5e6f7081"


def registration(n: int) -> str:
    """As long as those of the bench's customers."""
    return f"d{n:010d}:APA91b" + "kF3-Jx_9" * 16


def data() -> dict[str, str]:
    """What the app is handed."""
    return {"decision": TAG, "coupon": TAG, "store": "1", "candlemaker_message": TAG}


def platforms() -> dict[str, dict[str, Any]]:
    """The display tag and the time to live, platform by platform."""
    return {
        "android": {"ttl": "86399s", "priority": "HIGH", "notification": {"tag": TAG}},
        "apns": {"headers": {"apns-collapse-id": TAG, "apns-expiration": "1900000000"}},
        "webpush": {"headers": {"TTL": "86399"}, "notification": {"tag": TAG}},
    }
