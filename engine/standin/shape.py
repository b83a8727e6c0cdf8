"""Names and types, checked the way Google's JSON front end does: every problem at once, in its wording.

proto3 JSON takes `validate_only` as well as `validateOnly`; the nodes below rename to the second, and collect
what Google would complain about; msgspec then makes the record. The nodes are made once, from the structs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from msgspec import inspect

from engine.standin.message import SendRequest

_SNAKE = re.compile(r"_([a-z0-9])")


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
    python: type
    name: str

    def read(self, value: Any, path: str, problems: list[Problem]) -> Any:
        return value if type(value) is self.python else _wrong(value, path, self.name, problems)


@dataclass(frozen=True, slots=True)
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
class _Struct:
    name: str
    known: dict[str, _Node]

    def read(self, value: Any, path: str, problems: list[Problem]) -> Any:
        if not isinstance(value, dict):
            return _wrong(value, path, f"type.googleapis.com/google.firebase.fcm.v1.{self.name}", problems)
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


_SCALARS: dict[type[inspect.Type], _Node] = {
    inspect.StrType: _Scalar(str, "TYPE_STRING"),
    inspect.BoolType: _Scalar(bool, "TYPE_BOOL"),
    inspect.IntType: _Scalar(int, "TYPE_INT32"),
    inspect.AnyType: _Free(),
}


def _node(kind: inspect.Type) -> _Node:
    if isinstance(kind, inspect.UnionType):
        kind = next(k for k in kind.types if not isinstance(k, inspect.NoneType))
    if isinstance(kind, inspect.StructType):
        return _Struct(kind.cls.__name__, {f.encode_name: _node(f.type) for f in kind.fields})
    if isinstance(kind, inspect.DictType):
        return _Map(_node(kind.value_type))
    if isinstance(kind, inspect.ListType):
        return _List(_node(kind.item_type))
    return _SCALARS[type(kind)]


_ROOT = _node(inspect.type_info(SendRequest))


def read(body: bytes) -> SendRequest | list[Problem]:
    """The request, or every problem with its names and types. Null is unset; a map's null value is not."""
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [Problem("", "Invalid JSON payload received. Unexpected token.")]
    problems: list[Problem] = []
    renamed = _ROOT.read(tree, "", problems)
    return problems or msgspec.convert(renamed, SendRequest)
