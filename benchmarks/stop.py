"""What still comes of a campaign after its stop was answered."""

from __future__ import annotations

import asyncio
import time

from benchmarks import evidence
from benchmarks.bars import Plan
from benchmarks.result import Row, row
from benchmarks.traffic import Traffic, traffic


async def bench(plan: Plan) -> list[Row]:
    """A fresh campaign a round; the figure is the worst round, for the bar is a promise."""
    decided, sent, made = [], [], 0
    async with traffic(plan) as running:
        for number in range(plan.count("rounds")):
            round_ = await _round(running, f"stop-{number}", plan.number("watch_s"))
            decided.append(round_[0])
            sent.append(round_[1])
            made += round_[2]
    note = f"the worst of {len(decided)} rounds, 0: nothing came after the answer; {made} decisions in all"
    return [
        row(plan.bar("stop_to_last_decision"), decided, note, ours=max(decided)),
        row(plan.bar("stop_to_last_send"), sent, note, ours=max(sent)),
    ]


async def _round(running: Traffic, code: str, watch_s: float) -> tuple[float, float, int]:
    """(seconds from the answer to the last decision, and to the last arrival at the stand-in; decisions)."""
    campaign = await asyncio.to_thread(running.launch, code)
    await running.flows(campaign)
    await asyncio.to_thread(running.world.stop, campaign)
    answered_ms = time.time() * 1000
    await asyncio.sleep(watch_s)
    found = await evidence.decisions(running.stage.database, 0.0, campaign)
    arrived = await asyncio.to_thread(evidence.arrivals, running.stage.ledger)
    sent_ms = [arrived[str(decision)] for decision in found if str(decision) in arrived]
    assert sent_ms, "a campaign that flows sends"
    return (
        max(0.0, max(decided_ms for _, decided_ms in found.values()) - answered_ms) / 1000,
        max(0.0, max(sent_ms) - answered_ms) / 1000,
        len(found),
    )
