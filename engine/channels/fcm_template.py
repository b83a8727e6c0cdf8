"""Messages that differ only in whom they are for: pyfcm builds one with marks in it, the others are that one filled in.

pyfcm's builder costs more than all the rest of a send; a mark is replaced in a microsecond. That both give the same
message is a property test.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from engine.channels.fcm_payload import MESSAGE_KEY, Parts, check, room
from engine.channels.push import Push

MOST_TEMPLATES = 4096
"""Kept at once: one a campaign, kind of registration and set of data keys."""
_encode = msgspec.json.Encoder().encode

_FIXED: Final = (b"registration", b"message", b"tag", b"ttl", b"end")

Build = Callable[[Parts], bytes]
_Key = tuple[str, str, str, tuple[str, ...]]


class _Template(NamedTuple):
    """One kind of message: *pick* takes what stands in the places of *form* out of (registration, message, tag, ttl,
    end, data…); *most* bytes are left for the data's values."""

    form: bytes
    pick: Callable[[list[bytes]], tuple[bytes, ...]]
    most: int


class Templates:
    """Fills in what *build* (pyfcm) made once for each kind of message."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._mark = f"cm{secrets.token_hex(12)}"  # nobody's text holds it
        self._marks = re.compile(rb'"?%s-([a-z]+|[0-9]+)-"?' % self._mark.encode())
        self._template = lru_cache(MOST_TEMPLATES)(self._made)

    def message(self, push: Push, life_s: int) -> bytes:
        """The request body for *push* with *life_s* to live; raises `PayloadFault` as `parts` does."""
        form, pick, most = self._template((push.kind, push.title, push.body, tuple(push.data)))
        values = [
            _encode(push.registration),
            b'"%s"' % str(push.message_id).encode(),
            b'"%s"' % str(push.decision_id).encode(),
            b"%d" % life_s,
            b"%d" % (push.expires_ms // 1000),
        ]
        for text in push.data.values():
            if type(text) is not str:
                check(push)  # says what is wrong
            value = _encode(text)
            most -= len(value) - 2
            values.append(value)
        if most < 0:
            check(push)  # counts exactly: an escaped letter is longer here than there
        return form % pick(values)

    def _made(self, key: _Key) -> _Template:
        kind, title, body, names = key
        given = {name: self._marked(str(n)) for n, name in enumerate(names)}
        tag, ttl = self._marked("tag"), self._marked("ttl")
        platforms: dict[str, dict[str, Any]] = {
            "android": {"ttl": f"{ttl}s", "priority": "HIGH", "notification": {"tag": tag}},
            "apns": {"headers": {"apns-collapse-id": tag, "apns-expiration": self._marked("end")}},
            "webpush": {"headers": {"TTL": ttl}, "notification": {"tag": tag}},
        }
        data = {**given, MESSAGE_KEY: self._marked("message")}
        made = self._build(Parts(kind, self._marked("registration"), title, body, data, platforms))
        places: list[int] = []
        form, at = b"", 0
        for found in self._marks.finditer(made):
            form += made[at : found.start()].replace(b"%", b"%%") + self._place(found[0], found[1])
            places.append(_FIXED.index(found[1]) if found[1] in _FIXED else len(_FIXED) + int(found[1]))
            at = found.end()
        form += made[at:].replace(b"%", b"%%")
        return _Template(form, itemgetter(*places), room(title, body, names))

    def _place(self, found: bytes, name: bytes) -> bytes:
        """Where a value goes: numbers keep the quotes around them, texts bring their own."""
        if name not in (b"ttl", b"end"):
            return b"%s"
        return (b'"' if found.startswith(b'"') else b"") + b"%s" + (b'"' if found.endswith(b'"') else b"")

    def _marked(self, name: str) -> str:
        return f"{self._mark}-{name}-"
