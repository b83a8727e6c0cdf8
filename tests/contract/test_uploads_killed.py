"""kill -9 at every step of an upload: all of its rows or none, and whoever comes next ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.contract.http_bodies import a_product, fresh
from tests.contract.http_world import World
from tests.contract.test_http_wire import Server
from tests.contract.upload_rig import done, load, send

pytestmark = pytest.mark.asyncio(loop_scope="module")

LEAST_STEPS = 50
ROWS = 300
DATES = "2026-01-01T00:00Z/2036-01-01T00:00Z"
Table = tuple[tuple[Any, ...], ...]


@asynccontextmanager
async def loaders(world: World) -> AsyncIterator[asyncio.subprocess.Process]:
    """What forks loaders that die."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.contract.killed_loader", stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, env=os.environ | world.services.settings.environ(),
    )  # fmt: skip
    try:
        assert process.stdout and await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        await process.wait()


async def fate(process: asyncio.subprocess.Process, last: int) -> list[str]:
    """What became of a loader that was to die at its step *last*."""
    assert process.stdin and process.stdout
    process.stdin.write(f"{last}\n".encode())
    async with asyncio.timeout(60):
        while True:  # structlog writes to the same place
            words = (await process.stdout.readline()).decode().split()
            if words and words[0] in ("killed", "done", "broken"):
                return words


async def settled(world: World) -> None:
    """Until the server has noticed that the loader is gone: its last word may have been a COMMIT."""
    left = """SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'candlemaker_loader' AND datname = current_database()"""
    async with asyncio.timeout(20):
        while await world.database.fetchval(left):
            await asyncio.sleep(0.005)


async def all_or_none(world: World, kind: str, file: str, query: dict[str, Any], read: str) -> int:
    """Kill at each step from the first on until one upload gets through; how many steps there were."""
    answer = await send(world, kind, file, **query)
    upload = answer.json()["id"]
    before, killed = await table(world, read), 0
    async with loaders(world) as process:
        while True:
            words = await fate(process, killed + 1)
            await settled(world)
            state = await world.database.fetchval("SELECT state FROM upload WHERE id = $1", upload)
            now = await table(world, read)
            if state == "done":
                assert now != before
                break
            assert words == ["killed"], (killed, words)
            assert state in ("queued", "running") and now == before, f"killed at step {killed + 1}: {state}"
            killed += 1
            await world.database.execute("UPDATE upload SET attempts = 0 WHERE id = $1", upload)
        # From the commit on it is done at every step: nothing is stored twice, and what waits is nothing.
        words = await fate(process, 1_000_000)
    assert words[0] == "done"
    assert now == await table(world, read)
    assert await world.database.fetchval("SELECT count(*) FROM upload_part WHERE upload = $1", upload) == 0
    return killed


async def table(world: World, read: str) -> Table:
    return tuple(tuple(row) for row in await world.database.fetch(read))


async def test_campaigns_killed_at_every_step(world: World) -> None:
    await world.store()
    prefix = fresh("k")
    header = "promotion_id,long_title,promotion_effective_dates,coupon_value_type,percent_off,budget\n"
    rows = [f"{prefix}-{n},Off,{DATES},percent_off,10,100\n" for n in range(ROWS)]
    await done(world, "campaigns", header + "".join(rows[: ROWS // 2]), activate=True)
    changed = [row.replace(",10,100", ",20,200") for row in rows[ROWS // 4 :]]
    read = f"""SELECT c.code, c.state, c.version, c.spec ->> 'offer', b.total,
        (SELECT count(*) FROM campaign_audit a WHERE a.campaign = c.id)
        FROM campaign c JOIN budget b ON b.campaign = c.id WHERE c.code LIKE '{prefix}%' ORDER BY c.code"""
    query = {"activate": True, "replace": True, "gzip": True}
    assert await all_or_none(world, "campaigns", header + "".join(changed), query, read) >= LEAST_STEPS
    states = {row[1] for row in await table(world, read)}
    assert states == {"live", "ended"}


@pytest.mark.slow
async def test_prices_killed_at_every_step(world: World) -> None:
    product, store = a_product()["code"], (await world.store())["code"]
    codes = [f"{product}-{n}" for n in range(2_000)]
    await done(world, "products", "code,name\n" + "".join(f"{code},x\n" for code in codes))
    header = "store_code,id,price\n"
    await done(world, "prices", header + "".join(f"{store},{code},1.00 EUR\n" for code in codes[:1_000]))
    file = header + "".join(f"{store},{code},{n % 7}.00 EUR\n" for n, code in enumerate(codes[500:]))
    read = "SELECT product, price_minor FROM price ORDER BY product, store"
    assert await all_or_none(world, "prices", file, {"replace": True}, read) >= LEAST_STEPS


@pytest.mark.slow
async def test_stores_killed_at_every_step(world: World) -> None:
    header, prefix = "code,name,lat,lng,zone\n", fresh("k")
    rows = [f"{prefix}-{n},Shop {n},60.{n:04},24.9,UTC\n" for n in range(ROWS)]
    await done(world, "stores", header + "".join(rows[:200]))
    changed = "".join(row.replace("Shop", "New") for row in rows[100:])
    read = f"SELECT code, name, closed FROM store WHERE code LIKE '{prefix}%' ORDER BY code"
    assert await all_or_none(world, "stores", header + changed, {"replace": True}, read) >= LEAST_STEPS


@pytest.mark.slow
async def test_an_api_killed_while_a_body_arrives(world: World) -> None:
    """What was not answered with 202 is never stored, however much of it had arrived; what was is stored."""
    header, code = "code,name,lat,lng,zone\n", fresh("k")
    good = (header + "".join(f"{code}-{n},Shop,60.1,24.9,UTC\n" for n in range(200_000))).encode()
    began = await world.database.fetchval("SELECT now()")
    for arrived in (1, 1_000_000, 2_500_000, 4_000_000, len(good) - 1):
        server = Server(world.services.settings)
        await server.ready()
        async with cut(server, world, good, arrived):
            assert await asyncio.to_thread(server.end, signal.SIGKILL) == -signal.SIGKILL
        await load(world)
        known = await world.database.fetch("SELECT state FROM upload WHERE created_at > $1", began)
        states = {row["state"] for row in known}
        assert states <= {"receiving"}, states
        assert await world.database.fetchval("SELECT count(*) FROM store WHERE code LIKE $1", f"{code}%") == 0
    server = Server(world.services.settings)
    await server.ready()
    headers = {"Authorization": f"Bearer {world.keys['retailer']}", "Content-Type": "text/csv"}
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        answer = await client.post("/v1/uploads?kind=stores", content=good, headers=headers)
    assert answer.status_code == 202
    await asyncio.to_thread(server.end, signal.SIGKILL)
    await load(world)
    assert await world.database.fetchval("SELECT count(*) FROM store WHERE code LIKE $1", f"{code}%") == 200_000


@asynccontextmanager
async def cut(server: Server, world: World, body: bytes, arrived: int) -> AsyncIterator[None]:
    """Send the head and *arrived* bytes, and wait until the API has had the time to take them."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = (
        f"POST /v1/uploads?kind=stores HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {world.keys['retailer']}\r\n"
        f"Content-Type: text/csv\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body[:arrived])
    await writer.drain()
    await asyncio.sleep(0.3)
    yield
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
