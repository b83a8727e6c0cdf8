"""locust on the whole stack: what saturates it, then ten minutes at a share of that, campaigns uploaded meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks import world
from benchmarks.bars import Plan
from benchmarks.ground import Square
from benchmarks.machine import ROOT
from benchmarks.result import Row, row
from benchmarks.sending import File, UploadFailed, upload
from benchmarks.stage import Stage, fresh_folder, staged
from benchmarks.turns import told
from engine.http.tasks import put_away
from engine.supervise import ROLES

MINUTE_S: Final = 60
SAMPLE_S: Final = 2.0
GRACE_S: Final = 60.0
STORES: Final = 100


class _Entry(msgspec.Struct):
    """One line of locust's `--json`."""

    name: str
    num_requests: int
    num_failures: int
    start_time: float
    last_request_timestamp: float | None
    response_times: dict[str, int]


@dataclass(frozen=True)
class Run:
    """What locust counted. *times*: milliseconds → answers."""

    requests: int
    failures: int
    per_s: float
    times: dict[float, int]
    faulty: dict[str, int]
    """Failures by what was asked for."""

    def percentile(self, share: float) -> float:
        """Milliseconds within which *share* of the answers came."""
        due = share * sum(self.times.values())
        for took_ms, n in sorted(self.times.items()):
            due -= n
            if due <= 0:
                return took_ms
        return 0.0


async def bench(plan: Plan) -> list[Row]:
    """Errors of both answers and uploads count; memory is that of all roles together, the last minute's mean against
    the first's.
    """
    async with staged(plan.settings) as stage:
        most = await _locust(stage, plan, plan.number("saturated_s"), 0.0)
        rate = plan.number("share") * most.per_s
        told(f"saturated at {most.per_s:,.0f} requests/s; {rate:,.0f} for {plan.number('load_s'):g} s")
        uploads: list[bool] = []
        weights: list[float] = []
        async with _uploading(stage, plan, uploads), _weighing(stage, weights):
            run = await _locust(stage, plan, plan.number("load_s"), rate)
    minute = int(MINUTE_S / SAMPLE_S)
    first, last = sum(weights[:minute]) / minute, sum(weights[-minute:]) / minute
    failed = run.failures + sum(uploads)
    note = (
        f"{run.requests:,} requests at {run.per_s:,.0f} requests/s, of {most.per_s:,.0f} that saturate; {len(uploads)} "
        f"uploads of {plan.count('campaigns_an_upload')} campaigns; {first:.0f} MB in the first minute, {last:.0f} in "
        f"the last; failed {run.faulty or 'nothing'}"
    )
    return [
        row(plan.bar("load_errors"), [float(failed)], note),
        row(plan.bar("load_p99"), [run.percentile(0.99)], note),
        row(plan.bar("load_memory"), [100 * (last - first) / first], note),
    ]


async def _locust(stage: Stage, plan: Plan, seconds: float, per_s: float) -> Run:
    """Headless locust; *per_s* 0: nobody waits."""
    users = plan.count("users")
    argv = [sys.executable, "-m", "locust", "-f", "benchmarks/locustfile.py", "--headless", "--json", "--host"]
    argv += [stage.stack.url, "--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds:.0f}s"]
    argv += ["--only-summary", "--exit-code-on-error", "0"]
    environ = os.environ | {"CANDLEMAKER_ADMIN_KEY": stage.admin_key, "CANDLEMAKER_LOAD_A_USER": str(per_s / users)}
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(seconds + GRACE_S):
            said, erred = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode:
        raise RuntimeError(f"locust ended with {process.returncode}: {erred.decode()[-800:]}")
    entries = msgspec.json.decode(said[said.index(b"[") :], type=list[_Entry])
    times: dict[float, int] = {}
    for entry in entries:
        for took_ms, n in entry.response_times.items():
            times[float(took_ms)] = times.get(float(took_ms), 0) + n
    requests = sum(entry.num_requests for entry in entries)
    faulty = {entry.name: entry.num_failures for entry in entries if entry.num_failures}
    return Run(requests, sum(faulty.values()), requests / seconds, times, faulty)


@asynccontextmanager
async def _uploading(stage: Stage, plan: Plan, failed: list[bool]) -> AsyncIterator[None]:
    """A retailer uploads campaigns again and again; *failed*: whether each upload was."""
    square = Square(plan.seed, 5_000.0, STORES)
    made = await asyncio.to_thread(world.make, stage.client, stage.admin_key, square, 0)
    folder = await asyncio.to_thread(fresh_folder)

    async def upload_on() -> None:
        for turn in itertools.count():
            file = await asyncio.to_thread(_file, folder / f"{turn}.ndjson", plan.count("campaigns_an_upload"), turn)
            try:
                await upload(stage, made.retailer_key, file)
                failed.append(False)
            except UploadFailed:
                failed.append(True)
            await asyncio.sleep(plan.number("upload_every_s"))

    async with _beside(upload_on()):
        yield
    await asyncio.to_thread(shutil.rmtree, folder)


def _file(path: Path, count: int, turn: int) -> File:
    """Campaigns nobody has, as NDJSON."""
    codes = [f"load-{turn}-{one}" for one in range(count)]
    rows = [world.a_campaign(code, [world.store_code(n % STORES)], 100.0) for n, code in enumerate(codes)]
    path.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    return File(path, "campaigns", "application/x-ndjson", "&activate=true")


@asynccontextmanager
async def _weighing(stage: Stage, weights: list[float]) -> AsyncIterator[None]:
    """Megabytes of our roles' processes, every two seconds."""

    async def weigh() -> None:
        while True:
            pids = [pid for role in ROLES if (pid := stage.stack.pid(role)) is not None]
            weights.append(sum(map(_resident_mb, pids)))
            await asyncio.sleep(SAMPLE_S)

    async with _beside(weigh()):
        yield


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """*work* while the block lasts; it must not end by itself."""
    task = asyncio.create_task(work)
    try:
        yield
        if task.done():
            task.result()
    finally:
        await put_away(task)


def _resident_mb(pid: int) -> float:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
