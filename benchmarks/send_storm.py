"""Three of ten answers are 503 for a minute: does the sender make it worse?"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

from benchmarks import evidence, send_world
from benchmarks.bars import Plan
from benchmarks.result import Row, row
from benchmarks.send_stage import Sending, end_of, sending
from engine.log.keys import OUTBOX_CHANNEL
from engine.standin.ledger import Arrival

DUE = "UPDATE chunk SET due_at = now() WHERE id = $1"


async def bench(plan: Plan) -> list[Row]:
    """At the plan's distance; the figure is one storm."""
    end, where = end_of(plan)
    total = round(plan.number("storm_s") * plan.number("messages_per_s"))
    async with sending(plan, native=False) as stage:
        await send_world.people(stage.database, total, send_world.PUSH)
        campaign = await send_world.campaign(stage.database)
        await send_world.queue(stage.database, campaign, total, 0)
        await stage.database.execute("VACUUM ANALYZE")
        found = await _storm(stage, plan)
    first, failed = len({one.tag for one in found}), Counter(one.status for one in found)[503]
    assert total >= first > total * 2 / 3, (first, total)
    assert failed > 0.9 * plan.number("share") * len(found), failed
    note = (
        f"{where}; {len(found)} arrivals of {first} messages in {plan.number('storm_s'):.0f} s, {failed} of them "
        "answered 503; one storm; retries are one for ten first attempts while answers fail"
    )
    return [row(plan.bar(f"storm_amplification{end}"), [len(found) / first], note)]


async def _storm(stage: Sending, plan: Plan) -> list[Arrival]:
    """What arrived within the minute, while so many messages a second come due."""
    await _stir(stage, plan)
    async with stage.sender():
        began_s = time.time()
        chunks = await stage.database.fetch("SELECT id, size FROM chunk ORDER BY id DESC")
        sent = 0
        for chunk in chunks:
            await stage.database.execute(DUE, chunk["id"])
            await stage.client.publish(OUTBOX_CHANNEL, b"1")
            sent += chunk["size"]
            await asyncio.sleep(max(0.0, began_s + sent / plan.number("messages_per_s") - time.time()))
        until_s = began_s + plan.number("storm_s")
        await asyncio.sleep(max(0.0, until_s - time.time()))
    arrivals = evidence.ledger(stage.arrivals)
    return [one for one in arrivals if one.at_ms <= until_s * 1000]


async def _stir(stage: Sending, plan: Plan) -> None:
    """Every answer of the next minute is 503 with the storm's share, drawn beforehand from the seed."""
    drawn = random.Random(plan.seed)
    most = round(plan.number("storm_s") * plan.number("messages_per_s") * 1.3)
    answers = [{"answer": "unavailable" if drawn.random() < plan.number("share") else "ok"} for _ in range(most)]
    await send_world.script(stage.near, "*", answers)
