"""Three of ten answers are 503 for a minute: does the sender make it worse?"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

from benchmarks import evidence, send_world
from benchmarks.bars import Plan
from benchmarks.result import Row, row
from benchmarks.send_stage import Sending, sending
from engine.standin.ledger import FILE as LEDGER

PAGE = 500


async def bench(plan: Plan) -> list[Row]:
    """Near, then a tenth of a second away."""
    rows: list[Row] = []
    for end in ("", "_far"):
        async with sending(plan, native=False) as stage:
            total = round(plan.number("storm_s") * plan.number("messages_per_s"))
            await send_world.people(stage.database, total, send_world.PUSH)
            campaign = await send_world.campaign(stage.database)
            await send_world.queue(stage.database, campaign, total, 0)
            await stage.database.execute("VACUUM ANALYZE")
            first, all_, failed = await _storm(stage, plan, total, stage.far if end else stage.near)
        note = (
            f"{all_} arrivals of {first} messages in {plan.number('storm_s'):.0f} s, {failed} of them answered 503; "
            "retries are one for ten first attempts while answers fail"
        )
        rows.append(row(plan.bar(f"storm_amplification{end}"), [all_ / first], note))
    return rows


async def _storm(stage: Sending, plan: Plan, total: int, url: str) -> tuple[int, int, int]:
    """(messages tried first in the storm, arrivals, 503s)."""
    await _stir(stage, plan)
    async with stage.sender(url):
        began_ms = time.time() * 1000
        per_s = plan.count("messages_per_s")
        chunks = await stage.database.fetch("SELECT id, size FROM chunk ORDER BY id DESC")
        sent = 0
        for chunk in chunks:
            await stage.database.execute("UPDATE chunk SET due_at = now() WHERE id = $1", chunk["id"])
            await stage.client.publish("outbox", b"1")
            sent += chunk["size"]
            await asyncio.sleep(max(0.0, began_ms / 1000 + sent / per_s - time.time()))
        until_ms = began_ms + plan.number("storm_s") * 1000
        await asyncio.sleep(max(0.0, until_ms / 1000 - time.time()))
    found = [one for one in evidence.ledger(stage.folder / "stand-in" / LEDGER) if one.at_ms <= until_ms]
    assert total >= len({one.tag for one in found}) > total / 2
    answers = Counter(one.status for one in found)
    return len({one.tag for one in found}), len(found), answers[503]


async def _stir(stage: Sending, plan: Plan) -> None:
    """Every answer of the next minute is 503 with the storm's share, drawn beforehand from the seed."""
    drawn = random.Random(plan.seed)
    most = round(plan.number("storm_s") * plan.number("messages_per_s") * 1.3)
    answers = [{"answer": "unavailable" if drawn.random() < plan.number("share") else "ok"} for _ in range(most)]
    await send_world.script(stage.near, "*", answers)
