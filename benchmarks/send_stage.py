"""A sender alone on real servers, with a stub or the stand-in at the other end; processor time is read from /proc."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from benchmarks import distance, send_world
from benchmarks.bars import Plan
from benchmarks.machine import ROOT
from benchmarks.peers import stub
from benchmarks.stage import environ, fresh_folder, stand_in
from engine.embedded.servers import EmbeddedServers
from engine.log.keys import CAMPAIGN_STARTED, OUTBOX_CHANNEL
from engine.log.valkey import connect as valkey
from engine.postgres.migrate import migrate
from engine.postgres.pool import connect
from engine.settings import Settings
from engine.standin.ledger import FILE as LEDGER

READY_S = 30.0
LOG_BYTES = 3000
"""Of the sender's log, told when a bench fails."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Sending:
    """What a bench of the sender works with. *near* is the other end, *url* its address through the delay, if any."""

    settings: Settings
    database: Any
    client: Redis
    folder: Path
    near: str
    url: str
    ca: Path | None
    arrivals: Path
    """What reached the other end, a line each: the stub's, where it has a quota, or the stand-in's ledger."""
    second: Any = None

    async def go(self) -> None:
        """Everything that waits is due now."""
        await self.database.execute(send_world.SEND)
        await self.client.publish(OUTBOX_CHANNEL, b"1")

    async def push(self, sql: str, *arguments: Any) -> None:
        """Put something into the outbox, from a connection of its own, and say so."""
        if self.second is None:
            self.second = await connect(self.settings)
        await self.second.execute(sql, *arguments)
        await self.client.publish(OUTBOX_CHANNEL, b"1")

    async def start(self, campaign: int) -> None:
        """The campaign becomes live, and the senders hear of it."""
        await self.database.execute("UPDATE campaign SET state = 'live' WHERE id = $1", campaign)
        await self.client.publish(OUTBOX_CHANNEL, CAMPAIGN_STARTED)

    @asynccontextmanager
    async def sender(self, name: str = "sender") -> AsyncIterator[subprocess.Popen[bytes]]:
        """One sender process, listening; gone afterwards."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "engine", "sender"],
                env={**environ(), **self.settings.environ()}, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            await self._listening(process, log)
            yield process
        except BaseException:
            state = "runs" if process.poll() is None else f"ended with {process.returncode}"
            print(f"{name} {state}, the end of its log:\n{log.read_text()[-LOG_BYTES:]}", file=sys.stderr, flush=True)
            raise
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 40)

    async def _listening(self, process: subprocess.Popen[bytes], log: Path) -> None:
        before, deadline_s = await self._listeners(), time.monotonic() + READY_S
        while await self._listeners() <= before:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"the sender did not start:\n{log.read_text()[-2000:]}")
            await asyncio.sleep(0.05)

    async def _listeners(self) -> int:
        found: list[Any] = await self.client.pubsub_numsub(OUTBOX_CHANNEL)
        return int(found[0][1])


@asynccontextmanager
async def sending(plan: Plan, *, native: bool) -> AsyncIterator[Sending]:
    """Servers without people, and the other end: the *native* stub, or the stand-in; further away by `added_ms`."""
    folder = await asyncio.to_thread(fresh_folder)
    try:
        async with contextlib.AsyncExitStack() as opened:
            account = await stand_in(opened, folder, plan.settings)
            near, ca, arrivals = account["fcm_base_url"], None, folder / "stand-in" / LEDGER
            if native:
                quota_per_s = plan.settings["fcm_quota_per_s"] if "quota" in plan.workload else None
                native_stub = await opened.enter_async_context(stub.serving(folder / "stub", quota_per_s))
                near, ca, arrivals = native_stub.url, native_stub.ca, native_stub.log
            url = near
            if added_ms := plan.number("added_ms"):
                port = await opened.enter_async_context(distance.away(int(near.rpartition(":")[2]), added_ms))
                url = f"{near.partition('://')[0]}://127.0.0.1:{port}"
            servers = await opened.enter_async_context(EmbeddedServers(Settings(data=folder / "data")))
            settings = replace(
                servers.settings,
                fcm_service_account=account["fcm_service_account"],
                fcm_base_url=url,
                fcm_ca=str(ca or ""),
                **plan.settings,
            )
            await migrate(settings)
            database = await connect(settings)
            opened.push_async_callback(database.close)
            client = valkey(settings.redis_url)
            opened.push_async_callback(client.aclose)
            yield Sending(settings, database, client, folder, near, url, ca, arrivals)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, True)


def end_of(plan: Plan) -> tuple[str, str]:
    """(what the names of the bars end in, the distance in words)."""
    added_ms = plan.number("added_ms")
    return ("_far", f"{added_ms:g} ms added to each round trip by a proxy") if added_ms else ("", "on loopback")


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Processor seconds of all threads of a living process."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def until_empty(database: Any, timeout_s: float, step_s: float = 0.05) -> float:
    """When no message waits any more (monotonic seconds); TimeoutError when some do for too long."""
    async with asyncio.timeout(timeout_s):
        while await database.fetchval(send_world.OPEN):  # noqa: ASYNC110 - it is another process that ends them
            await asyncio.sleep(step_s)
    return time.monotonic()


async def outcomes(database: Any) -> dict[str, int]:
    """State → messages that ended in it."""
    rows = await database.fetch("SELECT state, count(*) AS n FROM outcome GROUP BY 1")
    return {row["state"]: row["n"] for row in rows}
