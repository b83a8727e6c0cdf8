"""What a route declares; everything the door does and the OpenAPI document says comes from these records."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import msgspec

from engine.errors import SettingError
from engine.http.wire import Nothing

Scope = Literal["public", "admin", "app", "retailer", "till", "customer"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
Method = Literal["GET", "POST", "PUT", "DELETE"]
Work = Literal["tenant", "engine", "plain"]

MEGABYTE = 1 << 20
PLACEHOLDER = re.compile(r"{(\w+)(?::(\w+))?}")


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method of one path.

    work      `tenant`: a transaction that sees one retailer's rows; `engine`: one that sees all; `plain`: the
              handler takes what it needs itself
    effect    the transaction writes: an Idempotency-Key is stored with it
    reserve   has its own share of connections and requests, so that it works under overload
    streams   the handler is given `receive` in place of a body, and reads it piece by piece in transactions of its own
    takes     media types of the body, of a route that streams
    rows      field of the request whose index is the row number of a fault
    one       wire type of a single row, when the body may be one row instead of a batch
    handler   `async (call, body) -> answer`, without body where there is none; None is an empty answer
    """

    method: Method
    path: str
    scopes: frozenset[Scope]
    handler: Callable[..., Awaitable[Any]]
    summary: str
    status: int = 200
    request: Any = None
    one: Any = None
    answer: Any = None
    query: type[msgspec.Struct] = Nothing
    work: Work = "engine"
    effect: bool = False
    key_required: bool = False
    reserve: bool = False
    sealed: bool = False
    streams: bool = False
    takes: tuple[str, ...] = ()
    rows: str = ""
    limit_bytes: int = MEGABYTE
    media: str = "application/json"

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """(name, converter) of the path's placeholders."""
        return [(name, kind or "str") for name, kind in PLACEHOLDER.findall(self.path)]

    @cached_property
    def template(self) -> str:
        """The path without converters, as OpenAPI and the metrics name it."""
        return PLACEHOLDER.sub(r"{\1}", self.path)


def scopes(*names: Scope) -> frozenset[Scope]:
    """Who may call a route."""
    return frozenset(names)


def check(routes: Sequence[Route]) -> None:
    """Raise `SettingError` for a route without a scope, with an unknown one, or declared twice."""
    seen: set[tuple[str, str]] = set()
    for route in routes:
        name = f"{route.method} {route.path}"
        if not route.scopes:
            raise SettingError(f"{name} declares no scope: nobody may be meant, or everybody")
        if not route.scopes <= set(SCOPES) or ("public" in route.scopes and len(route.scopes) > 1):
            raise SettingError(f"{name} declares scopes that do not go together: {sorted(route.scopes)}")
        if route.work == "tenant" and not route.scopes <= {"admin", "retailer", "till"}:
            raise SettingError(f"{name} works as a retailer and admits {sorted(route.scopes)}")
        if (route.method, route.template) in seen:
            raise SettingError(f"{name} is declared twice")
        seen.add((route.method, route.template))
