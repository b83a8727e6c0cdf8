"""A bulk at a scaled quota: how much of the pace two senders use together, and what the stand-in's quota refuses."""

from __future__ import annotations

import asyncio
import contextlib
import time

from benchmarks import evidence, send_world
from benchmarks.bars import Plan
from benchmarks.result import Row, row
from benchmarks.send_million import _campaign, _clear_of_quarters
from benchmarks.send_stage import Sending, sending
from engine.standin.ledger import FILE as LEDGER

SLACK_S = 2.0


async def bench(plan: Plan) -> list[Row]:
    """Near, then a tenth of a second away."""
    rows: list[Row] = []
    for end in ("", "_far"):
        async with sending(plan, native=False) as stage:
            await send_world.people(stage.database, plan.count("recipients"), send_world.PUSH)
            await stage.database.execute("VACUUM ANALYZE")
            seconds, refused, arrived = await _measured(stage, plan, stage.far if end else stage.near)
        pace = stage.settings.fcm_quota_per_s * stage.settings.fcm_quota_share / 100
        used = [100 * count / pace for count in seconds]
        note = (
            f"{plan.count('senders')} senders; {len(used)} windows of 5 s after the ramp, of {pace:.0f} messages a "
            f"second each; the stand-in refuses what exceeds the quota"
        )
        rows.append(row(plan.bar(f"paced_used{end}"), used, note))
        share = 100 * refused / arrived
        rows.append(row(plan.bar(f"paced_429{end}"), [share], f"{refused} of {arrived} arrivals, the ramp's too"))
    return rows


async def _measured(stage: Sending, plan: Plan, url: str) -> tuple[list[float], int, int]:
    """(messages a second in each window after the ramp, 429s, arrivals)."""
    async with contextlib.AsyncExitStack() as opened:
        for nth in range(plan.count("senders")):
            await opened.enter_async_context(stage.sender(url, f"sender-{nth}"))
        await _clear_of_quarters(plan)
        campaign = await _campaign(stage, plan.count("recipients"))
        await stage.start(campaign)
        began_s = time.time()
        await asyncio.sleep(stage.settings.fcm_ramp_s + SLACK_S + plan.number("measured_s"))
    times = [one.at_ms / 1000 for one in evidence.ledger(stage.folder / "stand-in" / LEDGER)]
    refused = sum(one.status == 429 for one in evidence.ledger(stage.folder / "stand-in" / LEDGER))
    first_s = began_s + stage.settings.fcm_ramp_s + SLACK_S
    windows = int(plan.number("measured_s") // 5)
    counts = [0.0] * windows
    for at_s in times:
        nth = int((at_s - first_s) // 5)
        if 0 <= nth < windows:
            counts[nth] += 0.2
    return counts, refused, len(times)
