"""The two encodings of a body: JSON and MessagePack, of the same types, equally strict, refused in the same words.

What both leave open is refused: repeated names (decoders disagree which one counts) and NUL (PostgreSQL cannot hold
it). MessagePack can say NaN and infinity, which JSON cannot: those are malformed.
"""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from functools import cache
from typing import Any, ClassVar, Final, NamedTuple

import msgpack
import msgspec
import numpy as np

from engine.http.problems import Fault, Problem

_NAME_END = re.compile(rb'"[ \t\r\n]*:')
_SHORT = 4_000
"""Bytes: an integer of fewer digits is one to Python."""
_QUOTE: Final = ord('"')


class Rows(NamedTuple):
    """What a decoded body of rows has in it, to hold against its bytes."""

    size: int
    names: tuple[str, ...]
    """That every row has."""
    texts: int
    """Values of every row that are texts."""
    optionals: tuple[str, ...]
    """One name at most, whose value is no text."""
    optional: int
    """Rows that have it."""
    within: str
    """Name of the list of rows; empty where the body is one row."""
    sound: bool
    """No number but finite ones, no NUL in a text."""


class Codec(ABC):
    """One encoding."""

    media: ClassVar[str]
    refusal: ClassVar[str]
    """The kind of problem that malformed bytes are."""
    null: ClassVar[bytes]

    @staticmethod
    @abstractmethod
    def decoder(kind: Any) -> Any:
        """One decoder a type."""

    @abstractmethod
    def is_batch(self, body: bytes, rows: str) -> bool:
        """Whether the object's first name is *rows*: `{"purchases": …` is a batch, anything else one row."""

    @abstractmethod
    def require_strict(self, body: bytes) -> None:
        """Raise `Problem` for what a decoder lets pass and we do not."""

    @abstractmethod
    def surely_strict(self, body: bytes, value: Any, rows: Rows) -> bool:
        """True when nothing in *body*, which became *value*, is repeated, nor is it what `require_strict` refuses. A
        False says nothing, and the slow check decides.
        """

    def malformed(self, error: Exception) -> Problem:
        """The 400 of bytes that are not what they should be; says where, never quotes them."""
        if isinstance(error, RecursionError):
            return Problem(self.refusal, "nested too deeply")
        if isinstance(error, UnicodeDecodeError):
            return Problem(self.refusal, "not UTF-8")
        return Problem(self.refusal, str(error))

    def _unrepeated(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        together = dict(pairs)
        if len(together) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise Problem(self.refusal, f"the name {str(twice)[:80]!r} is repeated")
        return together


class _Json(Codec):
    media = "application/json"
    refusal = "malformed_json"
    null = b"null"

    @staticmethod
    @cache
    def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
        return msgspec.json.Decoder(kind)

    def is_batch(self, body: bytes, rows: str) -> bool:
        return body.lstrip()[1:].lstrip().startswith(b'"%s"' % rows.encode())

    def require_strict(self, body: bytes) -> None:
        if _is_plain(body):
            return
        try:
            value = json.loads(body, object_pairs_hook=self._unrepeated)
        except RecursionError as error:
            raise self.malformed(error) from None
        except ValueError:  # an integer of thousands of digits
            raise Problem(self.refusal, "a number is too long") from None
        if rb"\u0000" in body and _has_nul(value):
            raise _nul()

    def surely_strict(self, body: bytes, value: Any, rows: Rows) -> bool:
        """Without escapes each text has two quotes, and each name of a row is there at least once: so many quotes, and
        there is none twice. An optional name whose value is null has quotes of its own, and the slow check decides.
        """
        quotes = 2 * (rows.size * (len(rows.names) + rows.texts) + rows.optional + bool(rows.within))
        return b"\\" not in body and int(np.count_nonzero(np.frombuffer(body, np.uint8) == _QUOTE)) == quotes


def _is_plain(body: bytes) -> bool:
    """Whether *body*, which is JSON, surely repeats no name: as many names as are left when it is decoded and written
    anew, which keeps one of each. A quarter of the time of looking at each name.

    Without escapes no string holds a quote; a string that begins with a colon looks like a name's end in both, so what
    is counted in *body* is never less than its names. Short, so that no number in it can be too long.
    """
    if b"\\" in body or len(body) > _SHORT:
        return False
    try:
        names = msgspec.json.encode(msgspec.json.decode(body)).count(b'":')
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return len(_NAME_END.findall(body)) == names


class _Msgpack(Codec):
    media = "application/msgpack"
    refusal = "malformed_msgpack"
    null = b"\xc0"

    @staticmethod
    @cache
    def decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
        return msgspec.msgpack.Decoder(kind)

    def is_batch(self, body: bytes, rows: str) -> bool:
        within = {0xDE: 3, 0xDF: 5}.get(body[0], 1) if body else 1
        return body[within:].startswith(_spellings(rows))

    def require_strict(self, body: bytes) -> None:
        try:
            value = msgpack.unpackb(body, object_pairs_hook=self._unrepeated, strict_map_key=False)
        except msgpack.StackError:
            raise Problem(self.refusal, "nested too deeply") from None
        except (ValueError, TypeError, msgpack.UnpackException):  # TypeError: a name that is a list
            raise Problem(self.refusal, "not MessagePack") from None
        try:
            _require_finite(value)
            nul = _has_nul(value)
        except RecursionError as error:
            raise self.malformed(error) from None
        if nul:
            raise _nul()

    def surely_strict(self, body: bytes, value: Any, rows: Rows) -> bool:
        """Bytes as we would write them repeat nothing. In others each name occurs as often as it must, however its
        length is spelt: so none is there twice in a row.
        """
        if not rows.sound:
            return False
        if _encode(value) == body:
            return True
        due = dict.fromkeys(rows.names, rows.size) | dict.fromkeys(rows.optionals, rows.optional)
        return all(_occurs(body, name) == n for name, n in due.items()) and (
            not rows.within or _occurs(body, rows.within) == 1
        )


def _occurs(body: bytes, name: str) -> int:
    short, long, *_ = _spellings(name)
    return body.count(short) + body.count(long[1:])


@cache
def _spellings(name: str) -> tuple[bytes, ...]:
    """All encodings of a short string; behind their first byte the longer ones end as the second does."""
    text, size = name.encode(), len(name.encode())
    lengths = (b"\xd9" + size.to_bytes(1), b"\xda" + size.to_bytes(2), b"\xdb" + size.to_bytes(4))
    return bytes([0xA0 | size]) + text, *(length + text for length in lengths)


def _require_finite(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise Problem(_Msgpack.refusal, "a number is not finite")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _require_finite(item)


def _nul() -> Problem:
    return Problem("invalid", errors=[Fault("nul", "the character U+0000 cannot be stored")])


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(name) or _has_nul(item) for name, item in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


_encode = msgspec.msgpack.Encoder().encode
JSON = _Json()
MSGPACK = _Msgpack()
CODECS: dict[bytes, Codec] = {codec.media.encode(): codec for codec in (JSON, MSGPACK)}
