"""A bulk at a scaled quota: how much of the pace two senders use together, and what the stub's own quota refuses."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

from benchmarks import send_world
from benchmarks.bars import Plan
from benchmarks.peers import stub
from benchmarks.result import Row, row
from benchmarks.send_million import start_campaign
from benchmarks.send_stage import Sending, end_of, sending

SLACK_S = 2.0
"""After the ramp, before the first window."""
WINDOW_S = 5.0

Arrival = tuple[float, int]
"""When a request arrived, epoch s, and how it was answered."""


async def bench(plan: Plan) -> list[Row]:
    """At the plan's distance."""
    end, where = end_of(plan)
    async with sending(plan, native=True) as stage:
        await send_world.people(stage.database, plan.count("recipients"), send_world.PUSH)
        await stage.database.execute("VACUUM ANALYZE")
        arrivals, first_s = await _sent(stage, plan)
    pace = stage.settings.fcm_quota_per_s * stage.settings.fcm_quota_share / 100
    used = [100 * a_second / pace for a_second in _rates(arrivals, first_s, plan.count("windows"))]
    note = (
        f"{where}; {plan.count('senders')} senders; {len(used)} windows of {WINDOW_S:g} s after the ramp, of "
        f"{pace:.0f} messages a second each"
    )
    refused = sum(status == 429 for _, status in arrivals)
    told = (
        f"{where}; {refused} of {len(arrivals)} arrivals, those of the ramp too; nginx {stub.version()} refuses "
        "what is a second's worth above the quota"
    )
    return [
        row(plan.bar(f"paced_used{end}"), used, note),
        row(plan.bar(f"paced_429{end}"), [100 * refused / len(arrivals)], told),
    ]


async def _sent(stage: Sending, plan: Plan) -> tuple[list[Arrival], float]:
    """(all that arrived, when the first window begins, epoch s)."""
    async with contextlib.AsyncExitStack() as opened:
        for nth in range(plan.count("senders")):
            await opened.enter_async_context(stage.sender(f"sender-{nth}"))
        await stage.start(await start_campaign(stage, plan.count("recipients")))
        first_s = time.time() + stage.settings.fcm_ramp_s + SLACK_S
        await asyncio.sleep(stage.settings.fcm_ramp_s + SLACK_S + WINDOW_S * plan.count("windows"))
    lines = [line.split() for line in stage.arrivals.read_text().splitlines()]
    return [(float(at_s), int(status)) for at_s, status in lines], first_s


def _rates(arrivals: Sequence[Arrival], first_s: float, windows: int) -> list[float]:
    """Messages a second in each window."""
    counts = [0] * windows
    for at_s, _ in arrivals:
        nth = int((at_s - first_s) // WINDOW_S)
        if 0 <= nth < windows:
            counts[nth] += 1
    return [count / WINDOW_S for count in counts]
