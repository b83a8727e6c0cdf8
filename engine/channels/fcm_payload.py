"""A push as the parts of an FCM v1 message: pure, checked before any byte goes to the wire.

Display is made idempotent with `android.notification.tag`, `apns-collapse-id` and the web `tag`, all the
decision id. `android.collapseKey` is not used for this: FCM throttles collapsible messages and allows four
keys a device.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engine.channels.push import Push
from engine.errors import CandlemakerError

MOST_DATA_BYTES = 4096
"""Keys and values of `data` with title and body, UTF-8 (Firebase: "maximum payload for both message
types").
"""
MOST_TTL_S = 2_419_200
"""Four weeks, FCM's longest storage."""
MESSAGE_KEY = "candlemaker_message"
"""Data key under which the app finds the message id, for its delivery receipt and for dropping doubles."""
_MESSAGE_BYTES = len(MESSAGE_KEY) + 36


class PayloadFault(CandlemakerError):
    """The message would be refused; the text names the part at fault and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The builder's arguments. `target` is the registration, `kind` says as what it is addressed."""

    kind: str
    target: str
    title: str
    body: str
    data: dict[str, str]
    platforms: dict[str, dict[str, Any]]

    def __repr__(self) -> str:
        return f"Parts(kind={self.kind!r})"


def ttl_s(expires_ms: int, now_ms: int) -> int | None:
    """Whole seconds left, rounded down so that nothing is shown late; None when the offer has ended."""
    left_ms = expires_ms - now_ms
    return None if left_ms <= 0 else min(left_ms // 1000, MOST_TTL_S)


def parts(push: Push, life_s: int) -> Parts:
    """Take *push* apart for the builder; *life_s* is its time to live, 0 to `MOST_TTL_S` s.

    Raises `PayloadFault` for data that FCM refuses: not strings, reserved keys, more than 4,096 bytes.
    """
    check(push)
    data = {**push.data, MESSAGE_KEY: str(push.message_id)}
    tag = str(push.decision_id)
    platforms: dict[str, dict[str, Any]] = {
        "android": {"ttl": f"{life_s}s", "priority": "HIGH", "notification": {"tag": tag}},
        # APNs takes the end itself, epoch seconds; rounded down, too.
        "apns": {"headers": {"apns-collapse-id": tag, "apns-expiration": str(push.expires_ms // 1000)}},
        "webpush": {"headers": {"TTL": str(life_s)}, "notification": {"tag": tag}},
    }
    return Parts(push.kind, push.registration, push.title, push.body, data, platforms)


def check(push: Push) -> None:
    """Raise `PayloadFault` for data that FCM refuses, before anything is built of it."""
    if not all(isinstance(text, str) for pair in push.data.items() for text in pair):
        raise PayloadFault("data holds something other than strings")
    left = room(push.title, push.body, push.data) - sum(map(_bytes, push.data.values()))
    if left < 0:
        raise PayloadFault(f"payload of {MOST_DATA_BYTES - left} bytes, {MOST_DATA_BYTES} allowed")


def room(title: str, body: str, names: Iterable[str]) -> int:
    """Bytes left for the data's values beside the texts, the data's *names* and our own; raises `PayloadFault` for a
    name that FCM keeps for itself."""
    size = _MESSAGE_BYTES + _bytes(title) + _bytes(body)
    for name in names:
        if _reserved(name):
            raise PayloadFault("data uses a key that FCM reserves")
        size += _bytes(name)
    return MOST_DATA_BYTES - size


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _reserved(key: str) -> bool:
    """Source: discovery document of FCM v1, `Message.data`."""
    return key in {"from", "message_type"} or key.startswith(("google", "gcm"))
