"""Bytes of a body become a checked value once; what an encoding leaves open (repeated names, NUL) is refused."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.http.codec import JSON, Codec
from engine.http.explain import explain, fault_of, with_rows
from engine.http.problems import Problem


def decode(kind: Any, body: bytes, rows: str = "", codec: Codec = JSON) -> Any:
    """*body* as *kind*; raise `Problem`: 400 for what is not strict JSON or MessagePack, 422 with all faults for what
    is not *kind*.

    *rows* names the field whose index is the row number of a fault.
    """
    try:
        value = codec.decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        raise faulty(kind, body, rows, error, codec) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise codec.malformed(error) from None
    codec.require_strict(body)
    return value


def faulty(kind: Any, body: bytes, rows: str, error: msgspec.ValidationError, codec: Codec = JSON) -> Problem:
    """The 422 of a body that *kind* refuses with *error*."""
    try:
        faults = explain(kind, body, codec) or [fault_of(error)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as worse:
        return codec.malformed(worse)
    return Problem("invalid", errors=with_rows(faults, rows) if rows else faults)
