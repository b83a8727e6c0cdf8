"""Deciding among a million campaigns: `offers.decide` against one set-based query of PostgreSQL and against numpy.

All three answer the same events, each of a customer of its own, with the same campaigns, or there is no result. Ours
writes its reasons beside, and notes and spends what it gives.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from benchmarks.bars import Plan
from benchmarks.decide_world import World, world
from benchmarks.peers.decide_numpy import VERSION, NumpyDecider
from benchmarks.peers.decide_postgres import PostgresDecider, postgres
from benchmarks.result import Row, compared
from benchmarks.turns import told
from geo.arrays import Ints
from offers.decide import Books, decide_all
from offers.kernels.records import PASSED
from offers.silences import Silences
from offers.warming import warm

NOBODY_STOPPED: Final = frozenset({999_999_999})


class Ours:
    """A world, its books, and customers who were not asked yet."""

    def __init__(self, plan: Plan) -> None:
        self.world: World = world(plan)
        self.books: Books = self.world.books()
        self.silences = Silences()
        self._random = np.random.default_rng(plan.seed + 1)
        self._next_row = 0
        self.sizes: list[int] = []
        self._least = plan.count("survivors_least")

    def events(self, count: int) -> tuple[Ints, Ints]:
        """(customers, fences) of *count* events in each of which enough campaigns survive; every customer once."""
        rows: list[int] = []
        fences: list[int] = []
        while len(rows) < count:
            fence = int(self._random.integers(0, len(self.world.snapshot.fence_store)))
            row, self._next_row = self._next_row, self._next_row + 1
            one = self.world.batch(np.array([row], np.int32), np.array([fence], np.int32))
            found = next(decide_all(self.world.snapshot, one, self.books, NOBODY_STOPPED, noting=False))
            if int((found.candidates["reason"] == PASSED).sum()) >= self._least:
                rows.append(row)
                fences.append(fence)
                self.sizes.append(len(found.candidates))
        return np.array(rows, np.int32), np.array(fences, np.int32)

    def decide(self, rows: Ints, fences: Ints) -> tuple[list[int], float]:
        """The campaign of each event, -1 for none; and seconds."""
        batch = self.world.batch(rows, fences)
        began = time.perf_counter()
        parts = list(decide_all(self.world.snapshot, batch, self.books, NOBODY_STOPPED, self.silences))
        spent_s = time.perf_counter() - began
        out = []
        for part in parts:
            choice, ids = part.verdicts["choice"], self.world.snapshot.ids
            place = part.candidates["campaign"][np.maximum(choice, 0)]
            out += np.where(choice < 0, -1, ids[place]).tolist()
        return out, spent_s


async def bench(plan: Plan) -> list[Row]:
    """A row for each bar. Raises RuntimeError when a peer decides otherwise."""
    warm()
    began = time.perf_counter()
    ours = Ours(plan)
    told(f"a world of {len(ours.world.snapshot.campaigns):,} campaigns in {time.perf_counter() - began:.0f} s")
    scanner = NumpyDecider(ours.world)
    rounds, size, few = plan.count("rounds"), plan.count("batch"), plan.count("numpy_batch")
    rates: dict[str, list[float]] = {name: [] for name in ("ours", "postgres", "scan", "gathered")}
    async with postgres(ours.world, plan.settings) as server:
        for number in range(rounds + 1):  # the first, in which caches fill, does not count
            spent = await _round(ours, server, scanner, size, few)
            if number:
                for name, rate in spent.items():
                    rates[name].append(rate)
    alone_us = _alone(ours, plan.count("alone"))
    sizes = np.array(ours.sizes)
    note = (
        f"batches of {size}; candidates of an event: median {np.median(sizes):.0f}, "
        f"p99 {np.percentile(sizes, 99):.0f}; one event a call: p50 {np.percentile(alone_us, 50):.0f} us, "
        f"p99 {np.percentile(alone_us, 99):.0f} us"
    )
    gathered = float(np.median(rates["ours"]) / np.median(rates["gathered"]))
    return [
        compared(plan.bar("decide_postgres"), rates["ours"], rates["postgres"], server.version, note),
        compared(
            plan.bar("decide_numpy"),
            rates["ours"],
            rates["scan"],
            VERSION,
            f"{note}; numpy's by {few} events, columns scanned for the candidates; with the candidates handed to it by "
            f"our index ours is {gathered:.1f} times as fast",
        ),
    ]


async def _round(ours: Ours, server: PostgresDecider, scanner: NumpyDecider, size: int, few: int) -> dict[str, float]:
    """Events a second of each."""
    rows, fences = ours.events(size)
    began = time.perf_counter()
    theirs = await server.decide(rows, fences)
    postgres_s = time.perf_counter() - began
    began = time.perf_counter()
    scanned = scanner.scan(rows[:few], fences[:few])
    scan_s = time.perf_counter() - began
    began = time.perf_counter()
    gathered = scanner.gathered(rows[:few], fences[:few])
    gathered_s = time.perf_counter() - began
    chosen, ours_s = ours.decide(rows, fences)
    if chosen != theirs or chosen[:few] != scanned or chosen[:few] != gathered:
        differ = sum(one != other for one, other in zip(chosen, theirs, strict=True))
        raise RuntimeError(f"the peers decide otherwise: {differ} of {size} events by PostgreSQL")
    return {"ours": size / ours_s, "postgres": size / postgres_s, "scan": few / scan_s, "gathered": few / gathered_s}


def _alone(ours: Ours, count: int) -> list[float]:
    """Microseconds of *count* events, each decided by a call of its own."""
    rows, fences = ours.events(count)
    return [ours.decide(rows[n : n + 1], fences[n : n + 1])[1] * 1e6 for n in range(count)]
