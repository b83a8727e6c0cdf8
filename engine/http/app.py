"""The API as a Starlette application, built from one table of routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import BaseRoute
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.http.call import Services
from engine.http.endpoint import Endpoint
from engine.http.openapi import document
from engine.http.problems import Problem
from engine.http.routes import Route, check
from engine.http.send import of_problem, send_reply
from engine.http.table import ROUTES

LONGEST_PATH = 2_048
LONGEST_QUERY = 8_192
MOST_HEADERS = 100
LONGEST_HEADERS = 16_384


class NumberConvertor(Convertor[int]):
    """An id: at most 18 digits, so that it fits PostgreSQL's bigint."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


class CodeConvertor(Convertor[str]):
    """A code of somebody else's making: no slash, no control character, nothing that was not UTF-8."""

    regex = "[^/\x00-\x1f\x7f\ufffd\ud800-\udfff]{1,128}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("number", NumberConvertor())
register_url_convertor("code", CodeConvertor())


def build(services: Services, routes: Sequence[Route] = ROUTES) -> Starlette:
    """The application; raises `SettingError` for a route that says not who may call it."""
    check(routes)
    by_path: dict[str, list[Route]] = {}
    for route in routes:
        by_path.setdefault(route.path, []).append(route)
    endpoints = {path: Endpoint(same, services) for path, same in by_path.items()}
    listed: list[BaseRoute] = [_route(path, endpoint) for path, endpoint in endpoints.items()]
    app = Starlette(routes=listed)
    app.state.document = document(routes)
    app.router.redirect_slashes = False
    app.router.default = _not_found
    fixed = {path: endpoint for path, endpoint in endpoints.items() if "{" not in path}
    app.middleware_stack = _Bounds(_Shortcut(fixed, app.router))
    return app


def _route(path: str, endpoint: ASGIApp) -> StarletteRoute:
    # An endpoint object is taken as an ASGI application, and methods stay open: the endpoint answers 405 itself.
    return StarletteRoute(path, endpoint, include_in_schema=False)


class _Bounds:
    """Refuses requests whose address or headers are beyond all use, before anything looks at them.

    It stands in place of Starlette's own error pages: every endpoint answers its own errors.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            problem = _out_of_bounds(scope)
            if problem is None:
                await self._app(scope, receive, send)
            else:
                await send_reply(send, of_problem(problem), [])
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1003})
        else:
            await self._app(scope, receive, send)


class _Shortcut:
    """Paths without parameters by one look-up; the router tries one pattern after the other."""

    def __init__(self, fixed: dict[str, Endpoint], router: ASGIApp) -> None:
        self._fixed = fixed
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._fixed.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None:
            await self._router(scope, receive, send)
        else:
            scope["path_params"] = {}
            await endpoint(scope, receive, send)


def _out_of_bounds(scope: Scope) -> Problem | None:
    if len(scope["path"]) > LONGEST_PATH or len(scope["query_string"]) > LONGEST_QUERY:
        return Problem("uri_too_long", f"at most {LONGEST_PATH} characters and {LONGEST_QUERY} of query")
    headers: list[Any] = scope["headers"]
    if len(headers) > MOST_HEADERS or len(b"".join(map(b"".join, headers))) > LONGEST_HEADERS:
        return Problem("headers_too_large", f"at most {MOST_HEADERS} headers of {LONGEST_HEADERS} bytes")
    return None


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await send_reply(send, of_problem(Problem("not_found")), [])
