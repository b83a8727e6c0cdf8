"""Idempotency-Key: the answer is stored in the effect's own transaction and repeated byte for byte.

Only answers of effects that happened are stored; a refused call changed nothing, and its repetition is judged anew.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet

from engine.http.call import Call, Reply
from engine.http.problems import Problem
from engine.postgres import queries

LONGEST = 255
_REPLAYED = (b"idempotent-replayed", b"true")


@dataclass(frozen=True, slots=True)
class Once:
    """One key of one caller, and the digest of the request it stands for."""

    key: str
    request: bytes


def key_of(call: Call, body: bytes) -> Once | None:
    """The call's key, None when it has none; raise `Problem` when it is malformed, or missing and required."""
    text = call.headers.get(b"idempotency-key")
    if text is None:
        if call.route.key_required:
            raise Problem("idempotency_key_missing")
        return None
    if not 0 < len(text) <= LONGEST or not all(0x21 <= byte <= 0x7E for byte in text):
        raise Problem("idempotency_key_malformed", f"1 to {LONGEST} printable ASCII characters without spaces")
    if call.route.key_required and not call.route.effect:
        raise AssertionError("an idempotency key needs a transaction")
    parts = (call.route.method.encode(), call.scope["path"].encode(), call.scope["query_string"], body)
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return Once(text.decode(), hashlib.sha256(framed).digest())


async def once(call: Call, key: Once | None, work: Callable[[], Awaitable[Reply]]) -> Reply:
    """Do *work* in the call's open transaction, or repeat the answer it was given before."""
    if key is None:
        return await work()
    locked = await queries.idempotency.lock_key(call.connection, caller=call.caller.name, key=key.key)
    if not locked:
        raise Problem("idempotency_in_flight", headers=[(b"retry-after", b"1")])
    stored = await queries.idempotency.find_answer(call.connection, caller=call.caller.name, key=key.key)
    if stored is not None:
        return _replay(call, key, stored)
    reply = await work()
    await queries.idempotency.store_answer(
        call.connection,
        caller=call.caller.name,
        key=key.key,
        retailer=call.retailer or None,
        request=key.request,
        status=reply.status,
        answer=_seal(call).encrypt(reply.body) if call.route.sealed else reply.body,
    )
    return reply


def _replay(call: Call, key: Once, stored: Any) -> Reply:
    if stored["request"] != key.request:
        raise Problem("idempotency_key_reused")
    answer = _seal(call).decrypt(stored["answer"]) if call.route.sealed else stored["answer"]
    return Reply(stored["status"], answer, headers=(_REPLAYED,))


def _seal(call: Call) -> Fernet:
    """Answers that hold a secret are stored encrypted under a key outside the database."""
    key = hashlib.sha256(b"idempotent answers" + call.services.secrets.token_key).digest()
    return Fernet(base64.urlsafe_b64encode(key))
