"""GET /v1/transitions on real servers: what a matcher finds reaches an app's backend, and nobody else."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from engine.http.keys import create_key
from engine.http.services import services
from engine.http.transitions import open_transitions
from engine.log.keys import PARTITIONS, TRANSITIONS_KEY
from engine.log.transitions import MOST_ROWS, TOLD, TransitionReader, TransitionTeller, decode, encode
from engine.log.valkey import connect as valkey
from engine.log.valkey import load_functions
from engine.postgres.pool import connect
from engine.settings import Settings
from tests.contract.matcher_rig import Owner, owner
from tests.contract.test_http_generated import resident_mb
from tests.contract.test_http_wire import Server
from tests.reference.matcher_world import P, number

ROW = 0
"""A customer of the matcher's world who consents to everything."""
NO_LOCATION = 3
EVENT_S = 10.0


def some(count: int, first: int = 0) -> Any:
    rows = np.zeros(count, TOLD)
    rows["number"] = number(ROW)
    rows["fence"] = np.arange(first, first + count)
    rows["kind"] = 1
    return rows


class Subscriber:
    """Reads one stream event by event."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()

    async def event(self) -> dict[str, Any]:
        """The next event: its name, id, and data decoded."""
        found: dict[str, Any] = {}
        async with asyncio.timeout(EVENT_S):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name in ("event", "id", "data"):
                    found[name] = json.loads(value) if name == "data" else value
                elif not line and "event" in found:
                    return found
        raise AssertionError("the stream ended")


@asynccontextmanager
async def subscribed(server: Server, key: str, last: str | None = None) -> AsyncIterator[Subscriber]:
    headers = {"Authorization": f"Bearer {key}"} | ({"Last-Event-ID": last} if last else {})
    async with (
        httpx.AsyncClient(base_url=server.url, headers=headers, timeout=EVENT_S) as client,
        client.stream("GET", "/v1/transitions") as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        yield Subscriber(answer)


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[tuple[Server, str]]:
    """An API process on the world of the matcher's tests, and an app's key."""
    database = await connect(settings)
    try:
        key = (await create_key(database, "app", None, "backend")).text
    finally:
        await database.close()
    server = Server(settings)
    try:
        await server.ready()
        yield server, key
    finally:
        await asyncio.to_thread(server.end, signal.SIGKILL)


async def walk(one: Owner, rows: list[int], *places: str, minute: int = 0) -> None:
    """Pings of *rows* at the places, a minute apart from *minute* on, matched and committed."""
    for turn, place in enumerate(places, minute):
        await one.pings(rows, place, one.began_ms - 60_000 * (20 - turn))
        await one.cycle.turn()


def told(event: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["customer"], one["kind"]) for one in event["data"]["transitions"]]


async def test_a_subscriber_is_told_and_resumes_from_the_last_id(furnished: Settings) -> None:
    async with api(furnished) as (server, key), owner(furnished, furnished.data) as one:
        await one.take()
        async with subscribed(server, key) as subscriber:
            await walk(one, [ROW, NO_LOCATION], "street", "one")
            entered = await subscriber.event()
        assert told(entered) == [(f"customer {ROW}", "enter")], "who did not consent produces none"
        first = entered["data"]["transitions"][0]
        assert first.keys() == {"customer", "kind", "fence", "store", "since", "at"}, "no position"
        await walk(one, [ROW], "street", "street", minute=5)  # while nobody listens
        async with subscribed(server, key, entered["id"]) as again:
            left = await again.event()
        assert told(left) == [(f"customer {ROW}", "exit")]
        only = left["data"]["transitions"][0]
        assert (only["fence"], only["since"], only["reason"]) == (first["fence"], first["since"], "left")


async def test_a_withdrawn_consent_silences_what_waits(furnished: Settings) -> None:
    async with api(furnished) as (server, key), owner(furnished, furnished.data) as one:
        await one.take()
        async with subscribed(server, key) as subscriber:
            await walk(one, [ROW], "street", "one")
            last = (await subscriber.event())["id"]
        await walk(one, [ROW], "street", "street", minute=5)
        database = await connect(furnished)
        await database.execute("UPDATE customer SET consents = consents & ~1 WHERE number = $1", number(ROW))
        await database.close()
        await one.client.publish("directory", f"customer {ROW}")
        async with subscribed(server, key, last) as again:
            assert told(await again.event()) == []


async def test_without_a_wish_nothing_is_kept(furnished: Settings) -> None:
    async with owner(replace(furnished, transitions_bytes=0), furnished.data) as one:
        await one.take()
        await walk(one, [ROW], "street", "one")
        assert not await one.client.exists(TRANSITIONS_KEY)


async def test_transitions_are_told_before_their_position_is_committed(furnished: Settings) -> None:
    """A matcher that dies between the two leaves its successor to tell them again, the same ones."""
    async with owner(furnished, furnished.data) as first:
        await first.take()
        await walk(first, [ROW], "street", "street")
        await first.pings([ROW], "one", first.began_ms)
        await first.cycle.match()  # told; never settled
        async with owner(furnished, furnished.data) as second:
            await second.take()
            await second.cycle.turn()
        batches = await TransitionReader(first.client).behind("0-0", count=10, block_ms=1)
    assert len(batches) == 2
    assert batches[0].rows.tolist() == batches[1].rows.tolist()


async def test_the_stream_is_bounded_and_a_hole_in_it_is_told(furnished: Settings) -> None:
    small = replace(furnished, transitions_bytes=10_000)
    async with api(small) as (server, key):
        client = valkey(furnished.redis_url)
        try:
            await load_functions(client)
            teller = TransitionTeller(client, bound_bytes=small.transitions_bytes)
            teller.take([some(10)])
            await teller.tell()
            first = (await TransitionReader(client).newest())[0]
            async with subscribed(server, key, first) as slow:
                for turn in range(1, 50):
                    teller.take([some(10, 10 * turn)])
                    await teller.tell()
                events = [await slow.event()]
                fences = [int(one["fence"]) for one in events[0]["data"]["transitions"]]
                assert fences == list(range(10, 10 + len(fences))), "in order, without a hole"
            held = sum(64 + batch.size for batch in await TransitionReader(client).behind("0-0", count=99, block_ms=1))
            assert 5_000 < held <= small.transitions_bytes
            async with subscribed(server, key, first) as late:
                assert (await late.event())["event"] == "gap"
                kept: list[int] = []
                while not kept or kept[-1] < 499:
                    kept += [int(one["fence"]) for one in (await late.event())["data"]["transitions"]]
                assert kept[0] > 10 and kept == list(range(kept[0], 500))
        finally:
            await client.aclose()


async def test_who_does_not_read_costs_the_api_no_memory(furnished: Settings) -> None:
    """A subscriber that reads nothing is waited for; what it misses is bounded by the stream, not kept for it."""
    async with api(furnished) as (server, key):
        client = valkey(furnished.redis_url)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(b"GET /v1/transitions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n" % key.encode())
            await writer.drain()
            assert b"200" in await reader.readline()
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
            before = resident_mb(server.process.pid)
            await load_functions(client)
            teller = TransitionTeller(client, bound_bytes=furnished.transitions_bytes)
            for turn in range(300):  # 13 MB in the stream, 200 MB of JSON
                teller.take([some(MOST_ROWS, turn * MOST_ROWS)])
                await teller.tell()
            await asyncio.sleep(4.0)
            assert resident_mb(server.process.pid) - before < 64.0
        finally:
            writer.close()
            await client.aclose()


@pytest.mark.parametrize("last", ["x", "1", "1-", "-1", "1-2-3", "9" * 30 + "-0", "0-0 OR 1"])
async def test_what_is_no_id_is_refused(furnished: Settings, last: str) -> None:
    async with services(furnished) as open_services:
        call: Any = type("Call", (), {"headers": {b"last-event-id": last.encode()}, "services": open_services})
        with pytest.raises(Exception, match="malformed_request"):
            await open_transitions(call)


async def test_a_full_house_is_a_503(furnished: Settings) -> None:
    async with (
        api(furnished) as (server, key),
        httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {key}"}) as client,
    ):
        opened = [client.build_request("GET", "/v1/transitions") for _ in range(33)]
        answers = [await client.send(request, stream=True) for request in opened]
        assert [one.status_code for one in answers[:32]] == [200] * 32
        await answers[32].aread()
        assert answers[32].status_code == 503
        for one in answers:
            await one.aclose()


def test_an_entry_reads_back_and_other_bytes_do_not() -> None:
    rows = some(3)
    assert decode(encode(rows)).tolist() == rows.tolist()
    assert rows["number"].tolist() == [number(ROW)] * 3 and number(ROW) % PARTITIONS == P
    for wrong in (b"\x02" + encode(rows)[1:], encode(rows)[:-1], encode(rows) + b"x"):
        with pytest.raises(ValueError, match="transitions"):
            decode(wrong)
