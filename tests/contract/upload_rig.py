"""Uploads in tests: a body through the API, a loader's lane of this process behind it, and what became of it."""

from __future__ import annotations

import csv
import gzip
import io
from typing import Any

import httpx

from engine.http.uploads import MEDIA
from engine.loader.lane import Lane
from engine.loader.run import ANY_BYTES
from tests.contract.http_world import World

MEDIA_OF: dict[str, str] = {format_: media.decode() for media, format_ in reversed(MEDIA.items())}


async def send(
    world: World, kind: str, body: str | bytes, format_: str = "csv", who: str = "retailer", **query: Any
) -> httpx.Response:
    """POST the body; `gzip=True` packs it."""
    content = body.encode() if isinstance(body, str) else body
    headers = {"Content-Type": MEDIA_OF[format_]} | query.pop("headers", {})
    if query.pop("gzip", False):
        content, headers = gzip.compress(content), headers | {"Content-Encoding": "gzip"}
    parameters = {"kind": kind} | {name: str(value).lower() for name, value in query.items()}
    return await world.ask("POST", "/v1/uploads", who, params=parameters, content=content, headers=headers)


async def load(world: World) -> None:
    """Everything that is queued."""
    settings = world.services.settings
    lane = Lane(settings, world.services.pools.engine, world.services.secrets.coupon_key, ANY_BYTES)
    try:
        while await lane.turn():
            pass
    finally:
        await lane.close()


async def ended(
    world: World, kind: str, body: str | bytes, format_: str = "csv", who: str = "retailer", **query: Any
) -> Any:
    """The upload after a loader had it."""
    answer = await send(world, kind, body, format_, who, **query)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/uploads/{answer.json()['id']}"
    await load(world)
    return await world.good("GET", answer.headers["location"], who)


async def done(world: World, kind: str, body: str | bytes, format_: str = "csv", **query: Any) -> dict[str, int]:
    """The difference of an upload that is stored."""
    upload = await ended(world, kind, body, format_, **query)
    assert upload["state"] == "done", (upload, await rejected(world, upload) if upload["faults"] else "")
    difference: dict[str, int] = upload["difference"]
    return difference


async def rejected(world: World, upload: Any, who: str = "retailer") -> list[dict[str, str]]:
    """The rows of its file of rejected rows."""
    answer = await world.ask("GET", f"/v1/uploads/{upload['id']}/rejected", who)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/csv"), answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


async def faults(
    world: World, kind: str, body: str | bytes, format_: str = "csv", **query: Any
) -> list[tuple[str, str, str]]:
    """[(row, column, code)] of an upload that is rejected, of which nothing is left but its report."""
    before = await world.count()
    upload = await ended(world, kind, body, format_, **query)
    after = await world.count()
    assert upload["state"] == "rejected", upload
    report = {"upload", "upload_fault"}
    assert {name: n for name, n in after.items() if name not in report} == {
        name: n for name, n in before.items() if name not in report
    }
    return [(row["row"], row["column"], row["code"]) for row in await rejected(world, upload)]
