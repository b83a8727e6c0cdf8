"""Bytes of a body become a checked value once; what JSON leaves open (repeated names, NUL) is refused."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import msgspec

from engine.http.explain import explain, fault_of, with_rows
from engine.http.problems import Fault, Problem

_NAME_END = re.compile(rb'"[ \t\r\n]*:')
_SHORT = 4_000
"""Bytes: an integer of fewer digits is one to Python."""


def decode(kind: Any, body: bytes, rows: str = "") -> Any:
    """*body* as *kind*; raise `Problem`: 400 for what is not strict JSON, 422 with all faults for what is not *kind*.

    *rows* names the field whose index is the row number of a fault.
    """
    try:
        value = decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        raise faulty(kind, body, rows, error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None
    require_strict(body)
    return value


def faulty(kind: Any, body: bytes, rows: str, error: msgspec.ValidationError) -> Problem:
    """The 422 of a body that *kind* refuses with *error*."""
    try:
        faults = explain(kind, body) or [fault_of(error)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as worse:
        return malformed(worse)
    return Problem("invalid", errors=with_rows(faults, rows) if rows else faults)


def malformed(error: Exception) -> Problem:
    """The 400 of bytes that are not JSON; says where, never quotes them."""
    if isinstance(error, RecursionError):
        return Problem("malformed_json", "nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return Problem("malformed_json", "not UTF-8")
    return Problem("malformed_json", str(error))


def require_strict(body: bytes) -> None:
    """Refuse repeated names (decoders disagree which one counts) and NUL (PostgreSQL cannot hold it)."""
    if _is_plain(body):
        return
    try:
        value = json.loads(body, object_pairs_hook=_unrepeated)
    except RecursionError as error:
        raise malformed(error) from None
    except ValueError:  # an integer of thousands of digits
        raise Problem("malformed_json", "a number is too long") from None
    if rb"\u0000" in body and _has_nul(value):
        raise Problem("invalid", errors=[Fault("nul", "the character U+0000 cannot be stored")])


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


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    together = dict(pairs)
    if len(together) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem("malformed_json", f"the name {twice[:80]!r} is repeated")
    return together


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(name) or _has_nul(item) for name, item in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


@cache
def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """One decoder a type."""
    return msgspec.json.Decoder(kind)
