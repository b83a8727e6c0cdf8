"""How long partitions are without decisions when their matcher is killed or paused."""

from __future__ import annotations

import asyncio
import signal
import time

from benchmarks.bars import Plan
from benchmarks.result import Row, row
from benchmarks.traffic import Traffic, traffic
from engine.log.keys import PARTITIONS

MATCHERS = ("matcher", "matcher-2")
LONGEST_S = 60.0

_OWNED = """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND mode = 'ExclusiveLock'
  AND classid = hashtext('candlemaker.partition')::oid
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY pid"""


class NotShared(Exception):
    """The matchers do not come to own half of the partitions each."""


async def bench(plan: Plan) -> list[Row]:
    """Kills and pauses take turns, each matcher in turn; the figure is the worst round, for the bar is a promise."""
    killed: list[float] = []
    paused: list[float] = []
    async with traffic(plan, matchers=len(MATCHERS)) as running:
        campaign = await asyncio.to_thread(running.launch, "takeover")
        await running.flows(campaign)
        for number in range(plan.count("rounds")):
            for signal_, found in ((signal.SIGKILL, killed), (signal.SIGSTOP, paused)):
                await _shared(running)
                found.append(await _round(running, campaign, MATCHERS[number % 2], signal_))
    note = "from the signal until every one of the 16 partitions has committed a decision of a later ping; {}"
    return [
        row(plan.bar("takeover_killed"), killed, note.format(_told(killed)), ours=max(killed)),
        row(plan.bar("takeover_paused"), paused, note.format(_told(paused)), ours=max(paused)),
    ]


async def _round(running: Traffic, campaign: int, matcher: str, number: signal.Signals) -> float:
    """Seconds until all partitions decide again; the matcher's own half was without an owner meanwhile."""
    running.stage.stack.kill(matcher, number)
    try:
        return await running.flows(campaign, LONGEST_S)
    finally:
        if number is signal.SIGSTOP:
            running.stage.stack.kill(matcher, signal.SIGCONT)


async def _shared(running: Traffic) -> None:
    """Return once both matchers own half of the partitions each."""
    deadline_s = time.monotonic() + LONGEST_S
    half = [PARTITIONS // 2] * len(MATCHERS)
    while [record[0] for record in await running.stage.database.fetch(_OWNED)] != half:
        if time.monotonic() > deadline_s:
            raise NotShared
        await asyncio.sleep(0.1)


def _told(values: list[float]) -> str:
    return f"the worst of {len(values)} rounds: " + ", ".join(f"{value:.2f}" for value in values)
