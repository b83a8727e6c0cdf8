"""How long a new user waits: from starting the demo to the first coupon."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import time
from pathlib import Path

import asyncpg

from benchmarks.bars import Plan
from benchmarks.machine import ROOT
from benchmarks.result import Row, row
from benchmarks.stage import environ, fresh_folder
from engine.embedded.servers import running
from engine.errors import ServerError
from engine.postgres.pool import LOST, connect
from engine.settings import Settings, variable

LONGEST_S = 120.0
END_S = 30.0
POLL_S = 0.1


class NoCoupon(Exception):
    """The demo ended, or nobody got a coupon for two minutes."""


async def bench(plan: Plan) -> list[Row]:
    """Every round is a first one: an empty data folder, and kernels that have to be compiled."""
    rounds = [await _round() for _ in range(plan.count("rounds"))]
    note = "`candlemaker demo` as `make run` calls it, data folder empty, kernels not compiled; the coupon as a row"
    return [row(plan.bar("first_coupon"), rounds, note)]


async def _round() -> float:
    folder = await asyncio.to_thread(fresh_folder)
    own = {variable("data"): str(folder / "data"), "NUMBA_CACHE_DIR": str(folder / "kernels")}
    with (folder / "demo.log").open("wb") as output:
        began_s = time.monotonic()
        demo = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engine", "demo", cwd=ROOT, env=environ() | own, stdout=output, stderr=output,
            stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    try:
        async with asyncio.timeout(LONGEST_S):
            await _coupon(demo, folder)
        return time.monotonic() - began_s
    except TimeoutError:
        raise NoCoupon(f"after {LONGEST_S:.0f} s: {_tail(folder)}") from None
    finally:
        await _end(demo)
        await asyncio.to_thread(shutil.rmtree, folder, True)


async def _coupon(demo: asyncio.subprocess.Process, folder: Path) -> None:
    """Return when the demo's database holds a coupon."""
    settings = Settings(data=folder / "data" / "demo")
    while demo.returncode is None:
        with contextlib.suppress(*LOST, ServerError, asyncpg.PostgresError, ValueError):
            connection = await connect(running(settings))
            try:
                if await connection.fetchval("SELECT EXISTS (SELECT FROM coupon)"):
                    return
            finally:
                await connection.close()
        await asyncio.sleep(POLL_S)
    raise NoCoupon(f"the demo ended with {demo.returncode}: {_tail(folder)}")


async def _end(demo: asyncio.subprocess.Process) -> None:
    if demo.returncode is not None:
        return
    demo.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(END_S):
            await demo.wait()
    except TimeoutError:
        demo.kill()
        await demo.wait()


def _tail(folder: Path) -> str:
    return (folder / "demo.log").read_text(errors="replace")[-500:]
