"""Query parameters become the route's query type; repeated, unknown and too many ones are refused."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from engine.http.explain import fault_of
from engine.http.problems import Fault, Problem

MOST_PARAMETERS = 50


def parse_query(kind: type[msgspec.Struct], text: bytes) -> Any:
    """The query as *kind*; raise `Problem` naming every faulty parameter."""
    if not text:
        return _empty(kind)
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError:  # not ASCII, not UTF-8 behind the escapes, or too many
        raise Problem("malformed_request", f"the query is not UTF-8 or has over {MOST_PARAMETERS} parameters") from None
    given = dict(pairs)
    if len(given) != len(pairs):
        raise Problem("malformed_request", "a query parameter is repeated")
    if any("\0" in value for value in given.values()):
        raise Problem("invalid", errors=[Fault("nul", "the character U+0000 cannot be stored")])
    return _convert(kind, given)


@cache
def _empty(kind: type[msgspec.Struct]) -> Any:
    return _convert(kind, {})


def _convert(kind: type[msgspec.Struct], given: dict[str, str]) -> Any:
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        faults = list(_faults(kind, given)) or [fault_of(error)]
        raise Problem("invalid", errors=faults) from None


def _faults(kind: type[msgspec.Struct], given: dict[str, str]) -> Any:
    known = _fields(kind)
    yield from (Fault("unknown_field", "unknown parameter", name[:80]) for name in given if name not in known)
    for name, field in known.items():
        if name not in given:
            if field.required:
                yield Fault("missing", f"missing parameter `{name}`", name)
            continue
        try:
            msgspec.convert(given[name], field.type, strict=False)
        except msgspec.ValidationError as error:
            yield fault_of(error, name)


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}
