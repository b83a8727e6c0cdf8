"""From a ping to the arrival of its push at FCM, while 20,000 pings/s are offered in an open loop."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from benchmarks import evidence
from benchmarks.bars import Plan
from benchmarks.generator import Order, Report
from benchmarks.ingest import furnish, warm
from benchmarks.load import load
from benchmarks.result import Row, row
from benchmarks.stage import Stage, staged

SETTLE_S = 3.0


class TooFew(Exception):
    """So few decisions that their percentiles would say nothing."""


async def bench(plan: Plan) -> list[Row]:
    """Windows follow each other without a pause; percentiles are of all of them together, the spread is theirs."""
    async with staged(plan.settings) as stage:
        where = await furnish(stage, plan)
        async with load(where) as generator:
            await warm(stage, generator, plan)
            seconds = plan.count("windows") * plan.number("window_s")
            order = Order(plan.count("batch"), plan.count("connections"), seconds, plan.number("pings_per_s"))
            report = await generator.run(order)
        await asyncio.sleep(SETTLE_S)
        windows, lost = await _latencies(stage, report, plan)
    rate = sum(map(len, windows)) / seconds
    if rate < plan.number("least_decisions_per_s"):
        raise TooFew(f"{rate:.1f} decisions/s")
    return _rows(plan, windows, _told(report, rate, lost))


async def _latencies(stage: Stage, report: Report, plan: Plan) -> tuple[list[list[float]], int]:
    """(milliseconds by window, pushes that did not arrive: those count as long as we waited for them)."""
    decided = await evidence.decisions(stage.database, report.began_ms)
    arrived = await asyncio.to_thread(evidence.arrivals, stage.ledger)
    now_ms, lost = time.time() * 1000, 0
    windows: list[list[float]] = [[] for _ in range(plan.count("windows"))]
    for decision, (event_ms, _) in decided.items():
        number = min(len(windows) - 1, int((event_ms - report.began_ms) / 1000 / plan.number("window_s")))
        at_ms = arrived.get(str(decision))
        lost += at_ms is None
        windows[number].append((at_ms if at_ms is not None else now_ms) - event_ms)
    return windows, lost


def _rows(plan: Plan, windows: list[list[float]], note: str) -> list[Row]:
    everything = np.concatenate([np.array(window) for window in windows])
    return [
        row(
            plan.bar(f"ping_to_stand_in_p{percent}"),
            [float(np.percentile(window, percent)) for window in windows],
            note,
            ours=float(np.percentile(everything, percent)),
        )
        for percent in (50, 99)
    ]


def _told(report: Report, rate: float, lost: int) -> str:
    offered = 1000 * report.accepted / (report.ended_ms - report.began_ms)
    return (
        f"{offered:.0f} pings/s accepted, {rate:.0f} decisions/s, {lost} pushes did not arrive; a ping is dated at the "
        f"moment its request was due, to the millisecond below; requests were at most {1000 * report.lag_s:.0f} ms late"
    )
