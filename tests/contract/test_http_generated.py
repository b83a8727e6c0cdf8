"""Requests generated from /openapi.json by schemathesis, good ones and bad ones, against a real API process.

No answer is a 5xx, every refusal is a problem, what is refused stores nothing, memory stays bounded.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgpack
import pytest
import pytest_asyncio
import schemathesis
import schemathesis.specs.openapi.schemas  # else read in the midst of a test, when garbage may be collected
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.contract.http_world import Regulars, World
from tests.contract.test_http_wire import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDLESS = {"GET /v1/stream", "GET /v1/transitions"}


@schemathesis.serializer("application/msgpack")
def packed(_: Any, value: Any) -> Any:
    try:
        return msgpack.packb(value)
    except (TypeError, ValueError, OverflowError):  # JSON can say more: so much the worse
        return json.dumps(value).encode()


NOT_JSON = {"GET /metrics", "GET /v1/uploads/{upload}/rejected"}
MOST_GROWN_MB = 256.0
"""The API process may grow by this much over the whole file: 64 MB a request at worst, of which few run at once."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(world: World) -> AsyncIterator[Server]:
    one = Server(world.services.settings)
    try:
        await one.ready()
        yield one
    finally:
        await asyncio.to_thread(one.end, signal.SIGKILL)


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


class Fuzz:
    """One server, a key for each scope, and what was answered."""

    def __init__(self, world: World, server: Server, token: str, document: dict[str, Any]) -> None:
        self.keys = {scope: world.keys[scope] for scope in ("admin", "app", "retailer", "till")} | {"customer": token}
        self.schema = schemathesis.openapi.from_dict(document)
        self.schema.config.update(base_url=server.url)

    def operations(self) -> list[Any]:
        found: list[Any] = [one.ok() for one in self.schema.get_all_operations()]  # type: ignore[union-attr]
        return [operation for operation in found if operation.label not in ENDLESS]

    def run(self, operation: Any, mode: GenerationMode, examples: int) -> list[int]:
        """Statuses; asserts on each answer."""
        statuses: list[int] = []
        schemes = operation.definition.raw.get("security", [])
        scope = sorted(name for entry in schemes for name in entry)[-1:]  # the least mighty of those admitted
        headers = {"Authorization": f"Bearer {self.keys[scope[0]]}"} if scope else {}

        @settings(
            max_examples=examples, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            answer = case.call(headers=headers, timeout=30)
            statuses.append(answer.status_code)
            assert answer.status_code < 500, (operation.label, answer.status_code, answer.text, case.as_curl_command())
            kind = (answer.headers.get("content-type") or [""])[0]
            if answer.status_code >= 400:
                assert kind == "application/problem+json", (operation.label, kind)
                told = json.loads(answer.text)
                assert told["status"] == answer.status_code and "Traceback" not in answer.text
            elif answer.status_code != 204 and operation.label not in NOT_JSON:
                json.loads(answer.text)

        try:
            ask()
        except Unsatisfiable:  # there is nothing to get wrong about it
            assert mode is GenerationMode.NEGATIVE
        return statuses


async def fuzzed(world: World, server: Server, regulars: Regulars, examples: int) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        document = (await client.get("/openapi.json")).json()
    fuzz = Fuzz(world, server, regulars.token, document)
    await asyncio.to_thread(fuzz.run, fuzz.operations()[0], GenerationMode.POSITIVE, 1)
    before_mb = resident_mb(server.process.pid)
    refused = accepted = 0
    for operation in fuzz.operations():
        before = await world.count()
        statuses = await asyncio.to_thread(fuzz.run, operation, GenerationMode.NEGATIVE, examples)
        if statuses and all(status >= 400 for status in statuses):
            assert await world.count() == before, f"{operation.label} refused all and stored something"
            refused += len(statuses)
    for operation in fuzz.operations():
        statuses = await asyncio.to_thread(fuzz.run, operation, GenerationMode.POSITIVE, examples)
        accepted += sum(status < 400 for status in statuses)
    assert refused > 10 * examples and accepted > 5 * examples, (refused, accepted)
    assert server.process.poll() is None
    assert resident_mb(server.process.pid) - before_mb < MOST_GROWN_MB


async def test_generated_requests(world: World, server: Server, regulars: Regulars) -> None:
    await fuzzed(world, server, regulars, examples=4)


@pytest.mark.slow
async def test_many_generated_requests(world: World, server: Server, regulars: Regulars) -> None:
    await fuzzed(world, server, regulars, examples=120)
