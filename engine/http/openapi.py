"""/openapi.json: OpenAPI 3.1 from the table of routes and the very types that decode and encode."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.http.call import Call, Reply
from engine.http.codec import CODECS
from engine.http.problems import TITLES, ProblemBody
from engine.http.routes import Route

_REF = "#/components/schemas/{name}"
_PARAMETERS: dict[str, dict[str, Any]] = {
    "number": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
    "uuid": {"type": "string", "format": "uuid"},
    "code": {"type": "string", "minLength": 1, "maxLength": 128},
}
_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and request get the same answer, byte for byte, with Idempotent-Replayed: true.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
_DESCRIPTION = (
    "Phones, app backends, retailers and tills. Every error is an RFC 9457 problem that tells all faults at once; rows "
    "count from 1. Keys and tokens go into `Authorization: Bearer`. Over the limits: 429 or 503 with Retry-After. "
    "Money is integer minor units, latitude comes first, times are RFC 3339 with an offset. A body may be MessagePack "
    "in place of JSON, of the same names and types (a time may be its timestamp extension too); answers are JSON."
)


async def get_document(call: Call) -> Reply:
    """The document of the running table."""
    return Reply(200, call.scope["app"].state.document)


def document(routes: Sequence[Route]) -> bytes:
    """The OpenAPI document as JSON."""
    types = _types(routes)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = dict(zip(types, schemas, strict=True))
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Candlemaker", "version": "1", "description": _DESCRIPTION},
            "servers": [{"url": "/"}],
            "paths": _paths(routes, by_type),
            "components": {
                "schemas": components,
                "responses": _responses(by_type),
                "securitySchemes": _SECURITY,
            },
        }
    )


_SECURITY = {
    "admin": {"type": "http", "scheme": "bearer", "description": "A key of scope admin."},
    "app": {"type": "http", "scheme": "bearer", "description": "A key of scope app: the app's backend."},
    "retailer": {"type": "http", "scheme": "bearer", "description": "A key of scope retailer."},
    "till": {"type": "http", "scheme": "bearer", "description": "A key of scope till."},
    "customer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A customer's token, minted by an app key.",
    },
}


def _types(routes: Sequence[Route]) -> list[Any]:
    named = [kind for route in routes for kind in (route.request, route.one, route.answer) if kind is not None]
    return list(dict.fromkeys([*named, ProblemBody]))


def _paths(routes: Sequence[Route], by_type: dict[Any, Any]) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, by_type)
    return paths


def _operation(route: Route, by_type: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _name(route),
        "summary": route.summary,
        "tags": [route.template.split("/")[2] if route.template.startswith("/v1/") else "service"],
        "security": [] if "public" in route.scopes else [{scope: []} for scope in sorted(route.scopes)],
        "parameters": _parameters(route),
        "responses": _answers(route, by_type),
    }
    if route.request is not None:
        schema = by_type[route.request]
        if route.one is not None:
            schema = {"oneOf": [by_type[route.one], schema]}
        content = {codec.media: {"schema": schema} for codec in CODECS.values()}
        operation["requestBody"] = {"required": True, "content": content}
    if route.takes:
        content = {media: {"schema": {"type": "string", "format": "binary"}} for media in route.takes}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _name(route: Route) -> str:
    words = re.findall(r"[a-z]+", route.template.removeprefix("/v1"))
    return "_".join([route.method.lower(), *words])


def _parameters(route: Route) -> list[dict[str, Any]]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": _PARAMETERS[kind]} for name, kind in route.parameters
    ]
    query = [
        {
            "name": field.encode_name,
            "in": "query",
            "required": field.required,
            "schema": msgspec.json.schema(field.type),
        }
        for field in msgspec.structs.fields(route.query)
    ]
    keyed = [_KEY_HEADER | {"required": route.key_required}] if route.effect else []
    return path + query + keyed


def _answers(route: Route, by_type: dict[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": route.summary}
    if route.answer is not None:
        answer["content"] = {route.media: {"schema": by_type[route.answer]}}
    elif route.status != 204:
        answer["content"] = {route.media: {"schema": {"type": "string"} if route.media[:4] == "text" else {}}}
    statuses = {"500", "503"}
    if "public" not in route.scopes:
        statuses |= {"400", "401", "403", "422", "429"}
    if route.parameters or route.one is not None:
        statuses |= {"404"}
    if route.request is not None or route.takes:
        statuses |= {"408", "413", "415"}
    if route.effect:
        statuses |= {"404", "409"}
    if route.key_required:
        statuses |= {"410"}
    refs = {status: {"$ref": f"#/components/responses/problem{status}"} for status in sorted(statuses)}
    return {str(route.status): answer} | refs


def _responses(by_type: dict[Any, Any]) -> dict[str, Any]:
    """One response a status, naming the problem types it may have."""
    kinds: dict[int, list[str]] = {}
    for kind, (status, title) in TITLES.items():
        kinds.setdefault(status, []).append(f"`/problems/{kind}`: {title}.")
    return {
        f"problem{status}": {
            "description": " ".join(sentences),
            "content": {"application/problem+json": {"schema": by_type[ProblemBody]}},
        }
        for status, sentences in kinds.items()
    }
