"""Names and types of a request, checked against FCM's published discovery document: every problem at once, in the
wording of Google's JSON front end.

proto3 JSON takes `validate_only` as well as `validateOnly`; the nodes below rename to the second, and collect what
Google would complain about. They are made once, from the document (`data/fcm.v1.json`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final, Protocol

import msgspec

from engine.standin.message import SendRequest

DURATION: Final = re.compile(r"(-?\d{1,12})(\.\d{1,9})?s")
_SNAKE = re.compile(r"_([a-z0-9])")
_SCHEMAS: Final[Mapping[str, Any]] = msgspec.json.decode(
    files("engine.standin").joinpath("data/fcm.v1.json").read_bytes()
)["schemas"]
_FCM: Final = "type.googleapis.com/google.firebase.fcm.v1."
_INT32: Final = range(-(2**31), 2**31)
_ENUMS: Final = {("AndroidConfig", "priority"): "AndroidMessagePriority"}
"""Enums that are not called after their field; the document tells no enum's name."""


@dataclass(frozen=True, slots=True)
class Problem:
    """*field* is a path such as `message.android`, empty for the whole body; *says* is Google's sentence."""

    field: str
    says: str


class _Node(Protocol):
    """One place of the schema: gives back the value in camel case, appends what is wrong with it."""

    def read(self, value: Any, path: str, problems: list[Problem]) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Scalar:
    python: tuple[type, ...]
    name: str

    def read(self, value: Any, path: str, problems: list[Problem]) -> Any:
        good = type(value) in self.python and (self.name != "TYPE_INT32" or value in _INT32)
        return value if good else _wrong(value, path, self.name, problems)


@dataclass(frozen=True, slots=True)
class _Enum:
    """Google takes the names in any case."""

    names: frozenset[str]
    name: str

    def read(self, value: Any, path: str, problems: list[Problem]) -> Any:
        good = isinstance(value, str) and value.upper() in self.names
        return value if good else _wrong(value, path, self.name, problems)


class _Duration:
    def read(self, value: Any, path: str, problems: list[Problem]) -> Any:
        if isinstance(value, str) and DURATION.fullmatch(value):
            return value
        says = "Illegal duration format; duration must end with 's'"
        problems.append(
            Problem(path, f"Invalid value at '{path}' (type.googleapis.com/google.protobuf.Duration), {says}")
        )
        return None


class _Instant:
    def read(self, value: Any, path: str, problems: list[Problem]) -> Any:
        try:
            if datetime.fromisoformat(value).tzinfo is not None:
                return value
        except (TypeError, ValueError):
            pass
        says = "Illegal timestamp format; timestamps must end with 'Z' or have a valid timezone offset."
        problems.append(
            Problem(path, f"Invalid value at '{path}' (type.googleapis.com/google.protobuf.Timestamp), {says}")
        )
        return None


class _Free:
    def read(self, value: Any, path: str, problems: list[Problem]) -> Any:
        return value


@dataclass(frozen=True, slots=True)
class _Map:
    inner: _Node

    def read(self, value: Any, path: str, problems: list[Problem]) -> Any:
        if not isinstance(value, dict):
            return _wrong(value, path, "Map", problems)
        pairs = enumerate(value.items())
        return {k: self.inner.read(v, f"{path}[{i}].value", problems) for i, (k, v) in pairs}


@dataclass(frozen=True, slots=True)
class _List:
    inner: _Node

    def read(self, value: Any, path: str, problems: list[Problem]) -> Any:
        if not isinstance(value, list):
            return _wrong(value, path, "List", problems)
        return [self.inner.read(v, f"{path}[{i}]", problems) for i, v in enumerate(value)]


@dataclass(frozen=True, slots=True)
class _Record:
    name: str
    known: dict[str, _Node]

    def read(self, value: Any, path: str, problems: list[Problem]) -> Any:
        if not isinstance(value, dict):
            return _wrong(value, path, f"{_FCM}{self.name}", problems)
        renamed: dict[str, Any] = {}
        for name, inner in value.items():
            camel = name if name in self.known else _SNAKE.sub(lambda m: m.group(1).upper(), name)
            node = self.known.get(camel)
            if node is None:
                problems.append(_unknown(name, path))
            elif inner is not None:
                renamed[camel] = node.read(inner, f"{path}.{camel}" if path else camel, problems)
        return renamed


def _unknown(name: str, path: str) -> Problem:
    where = f" at '{path}'" if path else ""
    return Problem(path, f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.')


def _wrong(value: Any, path: str, expected: str, problems: list[Problem]) -> None:
    text = msgspec.json.encode(value).decode()
    problems.append(Problem(path, f"Invalid value at '{path}' ({expected}), {text}"))


_SCALARS: Final[Mapping[str, _Node]] = {
    "string": _Scalar((str,), "TYPE_STRING"),
    "boolean": _Scalar((bool,), "TYPE_BOOL"),
    "integer": _Scalar((int,), "TYPE_INT32"),
    "number": _Scalar((int, float), "TYPE_FLOAT"),
    "any": _Free(),
}
_FORMATS: Final[Mapping[str, _Node]] = {"google-duration": _Duration(), "google-datetime": _Instant()}


@cache
def _record(name: str) -> _Node:
    """The node of one schema of the document."""
    fields: Mapping[str, Any] = _SCHEMAS[name].get("properties", {})
    return _Record(name, {field: _node(schema, name, field) for field, schema in fields.items()})


def _node(schema: Mapping[str, Any], owner: str, field: str) -> _Node:
    if "$ref" in schema:
        return _record(schema["$ref"])
    if "enum" in schema:
        return _Enum(
            frozenset(schema["enum"]), _FCM + _ENUMS.get((owner, field), f"{owner}.{field[0].upper()}{field[1:]}")
        )
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    if schema["type"] == "array":
        return _List(_node(schema["items"], owner, field))
    if schema["type"] == "object":
        return _Map(_node(schema["additionalProperties"], owner, field))
    return _SCALARS[schema["type"]]


_ROOT = _record("SendMessageRequest")


def read(body: bytes) -> SendRequest | list[Problem]:
    """The request, or every problem with its names and types. Null is unset; a map's null value is not."""
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [Problem("", "Invalid JSON payload received. Unexpected token.")]
    problems: list[Problem] = []
    renamed = _ROOT.read(tree, "", problems)
    return problems or msgspec.convert(renamed, SendRequest)
