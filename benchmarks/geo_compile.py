"""Fences compiled on one core, a million circles in memory, an index loaded from its file, a warm start."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import mmap
import os
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

import geo
from benchmarks.bars import Plan, load
from benchmarks.geo_ground import World, world
from benchmarks.machine import ROOT
from benchmarks.peers.servers import folder
from benchmarks.result import Row, row
from benchmarks.turns import told
from geo.index import FenceIndex
from geo.match import match
from offers.codec import decode, encode
from offers.snapshot import Postings, Snapshot

GB: Final = 1e9
WARM: Final = "import sys; sys.modules['scipy'] = None; import geo; geo.warm()"
"""As installed: scipy comes with the peers alone, and numba, where it finds it, loads it at every start."""


class Weighed(msgspec.Struct, frozen=True):
    """An index in a process of its own: bytes in arrays, what the process grew by, milliseconds to the first match."""

    arrays: int
    resident: int
    load_ms: list[float]
    touch_ms: list[float]
    """The same, and every page of the parts read once."""


async def bench(plan: Plan) -> list[Row]:
    """The parts are written by the codec of snapshots; fresh processes weigh and load them."""
    geo.warm()
    compiled = _compiled(plan)
    circles = world(plan, "uniform", plan.count("circles"), 0.0)
    with folder() as home:
        size_mb = _write(home, circles) / 1e6
        told(f"{len(circles)} circles: parts of {size_mb:.0f} MB")
        weighed = [await _weighed(home, plan.count("rounds")) for _ in range(plan.count("rounds"))]
    starts = [await _warm_start_s() for _ in range(plan.count("rounds") + 1)][1:]
    return [
        compiled,
        _memory(plan, weighed),
        _loading(plan, weighed, size_mb),
        row(plan.bar("warm_start"), starts, "a new process until `geo.warm()` is done, the kernels in their cache"),
    ]


def _memory(plan: Plan, weighed: list[Weighed]) -> Row:
    """The larger of both weights."""
    resident = float(np.median([one.resident for one in weighed]))
    note = (
        f"{plan.count('circles')} circles: {weighed[0].arrays / GB:.3f} GB in arrays, {resident / GB:.3f} GB "
        f"in resident memory once read and asked for {plan.count('points')} points"
    )
    return row(plan.bar("memory_1m_circles"), [max(one.arrays, one.resident) / GB for one in weighed], note)


def _loading(plan: Plan, weighed: list[Weighed], size_mb: float) -> Row:
    touch_ms = float(np.median([ms for one in weighed for ms in one.touch_ms]))
    note = (
        f"parts of {size_mb:.0f} MB in the page cache: mapped, decoded and asked for a first point; "
        f"with every page touched besides {touch_ms:.0f} ms"
    )
    return row(plan.bar("load_1m_circles"), [ms for one in weighed for ms in one.load_ms], note)


def _compiled(plan: Plan) -> Row:
    ground = world(plan, "uniform", plan.count("fences"), plan.number("polygon_share"))
    began = time.process_time()
    fences = ground.fences()
    checked_s = time.process_time() - began
    core_s, wall_s = [], []
    for _ in range(plan.count("rounds")):
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        index = FenceIndex.build(fences)
        core_s.append(time.process_time() - cpu)
        wall_s.append(time.perf_counter() - wall)
    size = sum(array.nbytes for array in index.arrays().values())
    note = (
        f"{len(fences)} fences, {len(ground.shapes)} of them polygons, {size / 1e6:.0f} MB; processor time, by the "
        f"clock on the wall {np.median(wall_s):.1f} s; checking what is drawn took {checked_s:.1f} s before"
    )
    told(note)
    return row(plan.bar("compile_100k"), core_s, note)


def _write(home: Path, circles: World) -> int:
    """A snapshot of these fences and nothing else; its bytes."""
    count, rest, none = len(circles), Snapshot.empty(), np.zeros(0, np.int32)
    nothing = Postings(np.zeros(count + 1, np.int64), none, none, np.full(count, -1, np.int32))
    snapshot = dataclasses.replace(
        rest, fences=FenceIndex.build(circles.fences()), fence_store=np.arange(count), postings=nothing
    )
    parts = encode(snapshot)
    for name, part in parts.items():
        (home / name).write_bytes(part)
    return sum(map(len, parts.values()))


def weigh(home: Path, rounds: int) -> Weighed:
    """Read the parts into memory of our own, ask many points; then map and ask one, *rounds* times."""
    geo.warm()
    plan = load()["geo_compile"]
    random = np.random.default_rng(plan.seed)
    points = plan.count("points")
    at = 60.0 + random.uniform(-1.0, 1.0, points), 25.0 + random.uniform(-2.0, 2.0, points)
    match(FenceIndex.empty(), *at)
    gc.collect()
    before = _resident_bytes()
    index = decode({path.name: path.read_bytes() for path in home.iterdir()}).fences
    match(index, *at)
    gc.collect()
    resident = _resident_bytes() - before
    arrays = sum(array.nbytes for array in index.arrays().values())
    del index
    return Weighed(arrays, resident, *([_load_ms(home, touch) for _ in range(rounds)] for touch in (False, True)))


def _load_ms(home: Path, touch: bool) -> float:
    began = time.perf_counter()
    parts = {}
    for path in home.iterdir():
        with path.open("rb") as file:
            parts[path.name] = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    match(decode(parts).fences, np.array([60.0]), np.array([25.0]))
    if touch:
        for part in parts.values():
            np.frombuffer(part, np.uint8)[:: mmap.PAGESIZE].sum()
    return 1e3 * (time.perf_counter() - began)


def _resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _warm_start_s() -> float:
    began = time.perf_counter()
    await _process("-c", WARM)
    return time.perf_counter() - began


async def _weighed(home: Path, rounds: int) -> Weighed:
    return msgspec.json.decode(await _process("-m", "benchmarks.geo_compile", str(home), str(rounds)), type=Weighed)


async def _process(*arguments: str) -> bytes:
    """What a new interpreter says; it is ended when we are."""
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        said, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode:
        raise RuntimeError(f"python {arguments[0]} ended with {process.returncode}")
    return said


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(weigh(Path(sys.argv[1]), int(sys.argv[2]))))
