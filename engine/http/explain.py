"""All the faults of a body at once: msgspec stops at the first, so a refused body is walked field by field.

Only bodies that the fast decoder refused come here; the walk decodes rows and fields as they are encoded and each
field with its own type.
"""

from __future__ import annotations

import types
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from engine.http.codec import JSON, Codec
from engine.http.problems import Fault

_PATTERNS = (
    ("missing required field", "missing"),
    ("unknown field", "unknown_field"),
    ("got `", "type"),
    ("out of range", "range"),
    ("with a timezone", "no_zone"),
    ("of length", "length"),
    ("matching regex", "pattern"),
    (">=", "range"),
    ("<=", "range"),
    ("Invalid enum", "value"),
)


def explain(kind: Any, body: bytes | msgspec.Raw, codec: Codec = JSON) -> list[Fault]:
    """Faults of *body* against the wire type *kind*; empty when it decodes."""
    walk = _Walk(codec)
    walk.value(kind, body, "")
    return walk.faults


def fault_of(error: msgspec.ValidationError, column: str = "") -> Fault:
    """A msgspec message, split into code, sentence and column."""
    sentence, _, where = str(error).partition(" - at `$")
    code = next((code for part, code in _PATTERNS if part in sentence), "value")
    return Fault(code, sentence, _join(column, where.rstrip("`").lstrip(".")) or None)


def with_rows(faults: list[Fault], field: str) -> list[Fault]:
    """Turn columns like `stores[4].lat` into row 5, column `lat`."""
    return [_with_row(fault, f"{field}[") for fault in faults]


def _with_row(fault: Fault, prefix: str) -> Fault:
    if not (fault.column or "").startswith(prefix):
        return fault
    index, _, rest = (fault.column or "")[len(prefix) :].partition("]")
    return Fault(fault.code, fault.detail, rest.lstrip(".") or None, int(index) + 1)


class _Walk:
    """One look through a body."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.faults: list[Fault] = []

    def value(self, kind: Any, body: bytes | msgspec.Raw, column: str) -> None:
        before = len(self.faults)
        if (struct := _struct_of(kind)) is not None and not self._is_null(kind, body):
            self._struct(struct, body, column)
        elif (row := _row_of(kind)) is not None:
            self._list(row, body, column)
        if len(self.faults) == before:  # what only the whole can tell: a length, a tag, the value itself
            self._decoded(kind, body, column)

    def _struct(self, kind: Any, body: bytes | msgspec.Raw, column: str) -> None:
        given = self._decoded(dict[str, msgspec.Raw], body, column)
        if given is None:
            return
        known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        for name in (name[:80] for name in given if name not in known):
            self.faults.append(Fault("unknown_field", f"unknown field `{name}`", _join(column, name)))
        for name, field in known.items():
            if name in given:
                self.value(field.type, given[name], _join(column, name))
            elif field.required:
                self.faults.append(Fault("missing", f"missing field `{name}`", _join(column, name)))

    def _list(self, row_kind: Any, body: bytes | msgspec.Raw, column: str) -> None:
        decoder = self._codec.decoder(row_kind)
        for index, row in enumerate(self._decoded(list[msgspec.Raw], body, column) or []):
            try:
                decoder.decode(row)
            except msgspec.ValidationError:
                self.value(row_kind, row, f"{column}[{index}]")

    def _decoded(self, kind: Any, body: bytes | msgspec.Raw, column: str) -> Any:
        """*body* as *kind*; None, with its fault noted, when it is not."""
        try:
            return self._codec.decoder(kind).decode(body)
        except msgspec.ValidationError as error:
            self.faults.append(fault_of(error, column))
            return None

    def _is_null(self, kind: Any, body: bytes | msgspec.Raw) -> bool:
        return bytes(body).strip() == self._codec.null and type(None) in get_args(kind)


def _struct_of(kind: Any) -> Any:
    """X of `X` or `X | None` where X is a struct."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    if get_origin(kind) in (Union, types.UnionType):
        rest = [part for part in get_args(kind) if part is not type(None)]
        return _struct_of(rest[0]) if len(rest) == 1 else None
    return None


def _row_of(kind: Any) -> Any:
    """X of `list[X]`, bounded or not, where X is a struct."""
    if get_origin(kind) is Annotated:
        return _row_of(get_args(kind)[0])
    if get_origin(kind) is list and _struct_of(get_args(kind)[0]) is not None:
        return get_args(kind)[0]
    return None


def _join(column: str, more: str) -> str:
    return f"{column}.{more}" if column and more and not more.startswith("[") else column + more
