"""Points to the fences that hold them: `geo.match` against shapely's STRtree, PostGIS and scipy's cKDTree.

Four worlds of mixed fences and four of circles: 100,000 and 1,000,000 of them, of a real city and spread evenly. Before
anything is timed each peer's pairs are compared with ours; where they differ by more than the peer's own rounding of a
fence's edge there is no result. Ours gives the distance to each edge as well.
"""

from __future__ import annotations

import gc
import time
from typing import Final

import numpy as np

import geo
from benchmarks.bars import Plan
from benchmarks.geo_ground import KINDS, World, world
from benchmarks.geo_pairs import Pairs, differing
from benchmarks.peers.ckdtree import CKDTree
from benchmarks.peers.postgis import JOINS, Postgis, postgis
from benchmarks.peers.strtree import RIM_SHARE, VERSION, Strtree
from benchmarks.result import Row, compared
from benchmarks.turns import by_turns, seconds, told, turns_with
from geo.index import FenceIndex
from geo.match import match

SIZES: Final = {"100k": "few", "1m": "many"}
"""How a bar's name tells the number of fences that the workload has."""


async def bench(plan: Plan) -> list[Row]:
    """A row for each bar, world by world. Raises RuntimeError when a peer is missing or gives other pairs."""
    geo.warm()
    rows: dict[str, Row] = {}
    wanted = {bar.name.split("_")[1] for bar in plan.bars}
    for size, knob in SIZES.items():
        for kind in KINDS if size in wanted else ():
            mixed = Ours(world(plan, kind, plan.count(knob), plan.number("polygon_share")))
            name = f"fences_{size}_{kind}"
            rows[f"{name}_strtree"] = _strtree(plan, f"{name}_strtree", mixed)
            rows[f"{name}_postgis"] = await _postgis(plan, f"{name}_postgis", mixed)
            del mixed
            gc.collect()
            name = f"circles_{size}_{kind}_ckdtree"
            rows[name] = _ckdtree(plan, name, Ours(world(plan, kind, plan.count(knob), 0.0)))
            gc.collect()
    return [rows[bar.name] for bar in plan.bars]


class Ours:
    """A world, compiled."""

    def __init__(self, world: World) -> None:
        self.world = world
        began = time.perf_counter()
        fences = world.fences()
        made = time.perf_counter()
        self.index = FenceIndex.build(fences)
        self.points = len(world.points[0])
        told(f"{len(world)} fences: checked in {made - began:.1f} s, compiled in {time.perf_counter() - made:.1f} s")

    def ask(self) -> None:
        """What is measured: one call with all points."""
        match(self.index, *self.world.points)

    def pairs(self, points: int) -> Pairs:
        """Those of the first *points*. A fence's position is its id: they are 0..F-1."""
        found = match(self.index, *(axis[:points] for axis in self.world.points))
        return Pairs(found.point.astype(np.int64), found.fence.astype(np.int64))

    @property
    def note(self) -> str:
        """What was asked."""
        pairs = len(match(self.index, *self.world.points).point) / self.points
        return f"{self.points} points a call, {pairs:.2f} fences a point"


def _strtree(plan: Plan, name: str, ours: Ours) -> Row:
    peer = Strtree(ours.world)
    rim = differing(ours.world, ours.pairs(ours.points), peer.bulk(), RIM_SHARE)
    spent = by_turns({"ours": ours.ask, "theirs": peer.bulk}, plan.count("rounds"))
    rates = {way: ours.points / min(seconds(ask), seconds(ask)) for way, ask in peer.other_ways.items()}
    best = max(rates, key=lambda way: rates[way])
    note = (
        f"{ours.note}; the same pairs but {rim} in the rims of its 32-cornered circles; beside the bulk query the best "
        f"other way with shapely gives {rates[best]:,.0f} points/s: {best}"
    )
    return _row(plan, name, ours, spent, VERSION, note)


async def _postgis(plan: Plan, name: str, ours: Ours) -> Row:
    points = plan.count("postgis_points")
    async with postgis(ours.world, points, plan.settings) as peer:
        spent_s = {schema: await _checked(ours, peer, schema, points) for schema in JOINS}
        best = min(spent_s, key=lambda schema: spent_s[schema])
        ours_s, theirs_s = await turns_with(ours.ask, lambda: peer.count(best), plan.count("rounds"))
    others = "; ".join(f"schema {one}: {points / s:,.0f} points/s" for one, s in spent_s.items() if one != best)
    note = f"{ours.note}; the server's by {points} a join, schema {best} ({others}), the same pairs"
    told(f"{name}: {note}")
    return compared(plan.bar(name), _rates(ours.points, ours_s), _rates(points, theirs_s), peer.version, note)


async def _checked(ours: Ours, peer: Postgis, schema: str, points: int) -> float:
    """Compare the pairs; seconds of a count after that."""
    differing(ours.world, ours.pairs(points), await peer.pairs(schema), 0.0)
    began = time.perf_counter()
    await peer.count(schema)
    return time.perf_counter() - began


def _ckdtree(plan: Plan, name: str, ours: Ours) -> Row:
    peer = CKDTree(ours.world)
    wanted, spent_s = ours.pairs(ours.points), {}
    for way, ask in peer.ways.items():
        began = time.perf_counter()
        found = ask()
        spent_s[way] = time.perf_counter() - began
        differing(ours.world, wanted, found, 0.0)
    best = min(spent_s, key=lambda way: spent_s[way])
    spent = by_turns({"ours": ours.ask, "theirs": peer.ways[best]}, plan.count("rounds"))
    note = f"{ours.note}; the same pairs; of {len(spent_s)} ways to ask it the fastest: {best}"
    return _row(plan, name, ours, spent, peer.version, note)


def _row(plan: Plan, name: str, ours: Ours, spent: dict[str, list[float]], version: str, note: str) -> Row:
    told(f"{name}: {note}")
    mine, theirs = (_rates(ours.points, spent[who]) for who in ("ours", "theirs"))
    return compared(plan.bar(name), mine, theirs, version, note)


def _rates(points: int, spent_s: list[float]) -> list[float]:
    return [points / s for s in spent_s]
