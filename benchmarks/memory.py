"""What a matcher keeps of a customer, as arrays and as the process's memory."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time

import msgspec
import numpy as np

import geo
from benchmarks.bars import Plan, load
from benchmarks.ground import Square
from benchmarks.machine import ROOT
from benchmarks.result import Row, row
from engine.log.keys import PARTITIONS
from engine.matcher.state import State
from geo.fence import Circle
from geo.index import FenceIndex
from geo.settling import LATE_MS
from geo.transitions import PING, advance

RADIUS_M = 40.0
ROUND_S = 120.0


class Held(msgspec.Struct, frozen=True):
    """Bytes of all customers: arrays of presence, its index and caps, and what the process grew by with all 16 states
    (consents and purchases' heads included); *visits* are open.
    """

    arrays: int
    resident: int
    visits: int


async def bench(plan: Plan) -> list[Row]:
    """Each round in a fresh process; the bar is on the larger of both figures."""
    rounds = [await _in_process() for _ in range(plan.count("rounds"))]
    customers = plan.count("customers")
    larger = [max(one.arrays, one.resident) / customers for one in rounds]
    arrays = max(one.arrays for one in rounds) / customers
    resident = sorted(one.resident for one in rounds)[len(rounds) // 2] / customers
    note = (
        f"{customers} customers in {PARTITIONS} states, all with a position, {rounds[0].visits / customers:.2f} open "
        f"visits and {plan.count('notes')} cap notes each: {arrays:.0f} bytes in arrays of presence, the index of "
        f"last positions and caps, {resident:.0f} in resident memory with the rest of the states"
    )
    return [row(plan.bar("bytes_a_customer"), larger, note)]


async def _in_process() -> Held:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.memory", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(ROUND_S):
            told, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    return msgspec.json.decode(told, type=Held)


def fill(plan: Plan) -> Held:
    """Build the states by the product's own functions and weigh them."""
    random = np.random.default_rng(plan.seed)
    square = Square(plan.seed, 100_000.0, plan.count("fences"))
    lat, lng = square.fences
    circles = [Circle(i + 1, float(lat[i]), float(lng[i]), RADIUS_M) for i in range(len(lat))]
    index = FenceIndex.build(circles)
    geo.warm()
    rows = -(-plan.count("customers") // PARTITIONS)
    pings = [_pings(plan, random, lat, lng, rows) for _ in range(PARTITIONS)]
    gc.collect()
    before = _resident_bytes()
    states = [_state(p, index, pings[p], plan.count("notes")) for p in range(PARTITIONS)]
    gc.collect()
    return Held(
        arrays=sum(
            state.presence.nbytes + state.settling.presence.nbytes + state.pings.nbytes + state.caps.nbytes
            for state in states
        ),
        resident=_resident_bytes() - before,
        visits=sum(len(state.presence.slots(0, rows)) for state in states),
    )


def _pings(plan: Plan, random: np.random.Generator, lat: object, lng: object, rows: int) -> np.ndarray:
    """One ping a customer: in the middle of some fence, or out of all of them."""
    at = random.integers(0, plan.count("fences"), rows)
    inside = random.random(rows) < plan.number("visiting_share")
    pings = np.zeros(rows, PING)
    pings["row"] = np.arange(rows)
    pings["lat"] = np.where(inside, np.asarray(lat)[at], -10.0)
    pings["lng"] = np.asarray(lng)[at]
    pings["accuracy_m"] = 8.5
    pings["at_ms"] = int(time.time() * 1000)
    return pings


def _state(p: int, index: FenceIndex, pings: np.ndarray, notes: int) -> State:
    state = State(p)
    state.reserve(len(pings))
    advance(state.presence, index, pings)
    state.pings.follow(pings["row"])
    state.settling.hear(pings, 0)
    state.settling.settle(index, LATE_MS)
    for note in range(notes):
        for one in range(len(pings)):
            state.caps.note(one, note + 1, 1_700_000_000_000)
    return state


def _resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(fill(load()["memory"])))
