"""A decoded upload → `Campaign`, or all that is wrong with its shape at once.

msgspec stops at the first fault; a retailer fixing twelve gets twelve. So after a refusal each field is converted on
its own, down to the innermost one that is at fault.
"""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from offers.campaign import Campaign


class Problem(NamedTuple):
    """One thing to fix: where (row of the upload if it has rows, dotted column), a stable code, a sentence."""

    row: int | None
    column: str
    code: str
    detail: str


# What msgspec's sentences begin with or contain → our codes, first match.
CODES = (
    ("missing required field", "missing"),
    ("unknown field", "unknown_field"),
    ("Invalid enum value", "unknown_value"),
    ("matching regex", "wrong_form"),
    ("of length", "wrong_length"),
    ("timezone", "zone_missing"),
    ("RFC3339", "wrong_form"),
    (">=", "out_of_range"),
    ("<=", "out_of_range"),
    ("out of range", "out_of_range"),
)


def parse(raw: object, row: int | None = None) -> Campaign | list[Problem]:
    """The campaign in *raw* (dicts, lists, strings and numbers as JSON or MessagePack decode them), or its problems."""
    try:
        return msgspec.convert(raw, Campaign)
    except msgspec.ValidationError:
        return shape_problems(raw, row)


def shape_problems(raw: object, row: int | None = None) -> list[Problem]:
    """All that keeps *raw* from being a `Campaign`, in the order of its fields; empty if nothing does."""
    return [Problem(row, column, *_coded(message)) for column, message in _faults(raw, Campaign, "")]


def _faults(raw: object, kind: Any, path: str) -> list[tuple[str, str]]:
    try:
        msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        return _inner_faults(raw, kind, path) or [(path, str(error).partition(" - at `")[0])]
    return []


def _inner_faults(raw: object, kind: Any, path: str) -> list[tuple[str, str]]:
    struct, item = _struct_in(kind), _item_in(kind)
    if struct is not None and isinstance(raw, dict):
        return _field_faults(raw, struct, path)
    if item is not None and isinstance(raw, list):
        return [fault for i, value in enumerate(raw) for fault in _faults(value, item, f"{path}[{i}]")]
    return []


def _field_faults(raw: dict[Any, Any], struct: type[Struct], path: str) -> list[tuple[str, str]]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    out: list[tuple[str, str]] = []
    for name, field in fields.items():
        at = f"{path}.{name}" if path else name
        if name in raw:
            out += _faults(raw[name], field.type, at)
        elif field.required:
            out.append((at, "missing required field"))
    unknown = [str(name)[:100] for name in raw if name not in fields]
    return out + [(f"{path}.{name}" if path else name, "unknown field") for name in unknown[:20]]


def _struct_in(kind: Any) -> type[Struct] | None:
    """The one Struct in a type that is a Struct or a Struct or None."""
    for part in _alternatives(kind):
        if isinstance(part, type) and issubclass(part, Struct):
            return part
    return None


def _item_in(kind: Any) -> Any:
    """The item type of a type that is a list."""
    for part in _alternatives(kind):
        if get_origin(part) is list:
            return get_args(part)[0]
    return None


def _alternatives(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return tuple(part for one in get_args(kind) for part in _alternatives(one))
    return (kind,)


def _coded(message: str) -> tuple[str, str]:
    sentence = message[:1].upper() + message[1:]
    return next((code for sign, code in CODES if sign in message), "wrong_type"), sentence
