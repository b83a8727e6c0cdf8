"""What FCM checks once names and types are right: target, size, keys, time to live."""

from __future__ import annotations

from collections.abc import Mapping

from engine.standin.google import INVALID, Reply, invalid, unreadable
from engine.standin.message import Message, SendRequest
from engine.standin.shape import DURATION, Problem

TARGETS = ("fid", "token", "topic", "condition")
MOST_BYTES = 4096
MOST_TTL_S = 2_419_200


def refusal_of(request: SendRequest) -> Reply | None:
    """FCM's refusal of a well-shaped *request*; None when it is good."""
    message = request.message
    if message is None:
        return invalid(INVALID, [Problem("message", "Message is required.")])
    return _target(message) or _size(message) or _keys(message.data or {}) or _ttl(message) or _platform(message)


def ttl_s(message: Message) -> float | None:
    """Android's time to live in seconds; None when absent."""
    android = message.android or message.android_v2
    match = DURATION.fullmatch(android.ttl) if android and android.ttl else None
    return float(match.group(1) + (match.group(2) or "")) if match else None


def target_of(message: Message) -> tuple[str, str]:
    """Kind and value of the target, ("", "") when there is none."""
    given = [(kind, value) for kind in TARGETS if (value := getattr(message, kind))]
    return given[0] if given else ("", "")


def _target(message: Message) -> Reply | None:
    given = [kind for kind in TARGETS if getattr(message, kind) is not None]
    if len(given) > 1:
        says = f"Invalid value (oneof), oneof field 'target' is already set. Cannot set '{given[1]}'"
        return unreadable([Problem("message", says)])
    if not target_of(message)[1]:
        return invalid("Recipient of the message is not set.")
    return None


def _size(message: Message) -> Reply | None:
    note = message.notification
    texts = [note.title or "", note.body or ""] if note else []
    texts += [text for pair in (message.data or {}).items() for text in pair]
    if sum(len(text.encode()) for text in texts) > MOST_BYTES:
        return invalid("Android message is too big")
    return None


def _keys(data: Mapping[str, str]) -> Reply | None:
    wrong = [k for k in data if k in {"from", "message_type"} or k.startswith(("google", "gcm"))]
    problems = [Problem("message.data", f"Invalid data payload key: {key}") for key in wrong]
    return invalid(problems[0].says, problems) if problems else None


def _ttl(message: Message) -> Reply | None:
    life_s = ttl_s(message)
    if life_s is None or 0 <= life_s <= MOST_TTL_S:
        return None
    says = "Invalid Android TTL: it must be between 0 and 2419200 seconds"
    return invalid(INVALID, [Problem("message.android.ttl", says)])


def _platform(message: Message) -> Reply | None:
    if message.android is None or message.android_v2 is None:
        return None
    return invalid(INVALID, [Problem("message.android_v2", "android and android_v2 exclude each other")])
