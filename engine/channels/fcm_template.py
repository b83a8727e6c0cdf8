"""Messages that differ only in whom they are for: pyfcm builds one with marks in it, the others are that one filled in.

pyfcm's builder costs more than all the rest of a send; a mark is replaced in a microsecond. That both give the same
message is a property test.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from engine.channels.fcm_payload import MESSAGE_KEY, Parts, check
from engine.channels.push import Push

MOST_TEMPLATES = 4096
"""Kept at once: one a campaign, kind of registration and set of data keys."""
_encode = msgspec.json.Encoder().encode

Build = Callable[[Parts], bytes]
_Key = tuple[str, str, str, tuple[str, ...]]


class Templates:
    """Fills in what *build* (pyfcm) made once for each kind of message."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._mark = f"cm{secrets.token_hex(12)}"  # nobody's text holds it
        self._marks = re.compile(rb'"?%s-([a-z]+|[0-9]+)-"?' % self._mark.encode())
        self._template = lru_cache(MOST_TEMPLATES)(self._made)

    def message(self, push: Push, life_s: int) -> bytes:
        """The request body for *push* with *life_s* to live; raises `PayloadFault` as `parts` does."""
        values = tuple(push.data.values())
        check(push)
        form, places = self._template((push.kind, push.title, push.body, tuple(push.data)))
        tag = _encode(str(push.decision_id))
        filled = {
            b"registration": _encode(push.registration),
            b"message": _encode(str(push.message_id)),
            b"tag": tag,
            b"ttl": b"%d" % life_s,
            b"end": b"%d" % (push.expires_ms // 1000),
        }
        return form % tuple([filled[p] if isinstance(p, bytes) else _encode(values[p]) for p in places])

    def _made(self, key: _Key) -> tuple[bytes, tuple[bytes | int, ...]]:
        """(format, what stands in its places) of one kind of message."""
        kind, title, body, names = key
        given = {name: self._marked(str(n)) for n, name in enumerate(names)}
        platforms: dict[str, dict[str, Any]] = {
            "android": {
                "ttl": f"{self._marked('ttl')}s",
                "priority": "HIGH",
                "notification": {"tag": self._marked("tag")},
            },
            "apns": {"headers": {"apns-collapse-id": self._marked("tag"), "apns-expiration": self._marked("end")}},
            "webpush": {"headers": {"TTL": self._marked("ttl")}, "notification": {"tag": self._marked("tag")}},
        }
        data = {**given, MESSAGE_KEY: self._marked("message")}
        made = self._build(Parts(kind, self._marked("registration"), title, body, data, platforms))
        places: list[bytes | int] = []
        form, at = b"", 0
        for found in self._marks.finditer(made):
            form += made[at : found.start()].replace(b"%", b"%%") + self._place(found[0], found[1])
            places.append(int(found[1]) if found[1].isdigit() else found[1])
            at = found.end()
        return form + made[at:].replace(b"%", b"%%"), tuple(places)

    def _place(self, found: bytes, name: bytes) -> bytes:
        """Where a value goes: numbers keep the quotes around them, texts bring their own."""
        if name not in (b"ttl", b"end"):
            return b"%s"
        return (b'"' if found.startswith(b'"') else b"") + b"%s" + (b'"' if found.endswith(b'"') else b"")

    def _marked(self, name: str) -> str:
        return f"{self._mark}-{name}-"
