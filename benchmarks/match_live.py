"""A campaign goes live over people who are inside its fences already: how long until all of them are decided."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks import evidence, world
from benchmarks.bars import Plan
from benchmarks.bodies import customer_id
from benchmarks.ground import Square
from benchmarks.result import Row, row
from benchmarks.stage import Stage, staged
from benchmarks.turns import told

BATCH = 500
QUIET = {"trigger": "dwell", "dwell_s": 3_600}
"""Campaigns that are there already, so that their fences are: nobody dwells so long."""
PATIENCE_S = 60.0
_DECIDED = "SELECT count(*) FROM decision WHERE campaign = $1"


async def bench(plan: Plan) -> list[Row]:
    """A fresh campaign a round, over everybody; from sending its activation until the last one is committed."""
    took = []
    async with staged(plan.settings) as stage:
        square = Square(plan.seed, plan.number("side_m"), plan.count("fences"))
        customers = plan.count("customers")
        made = await asyncio.to_thread(world.make, stage.client, stage.admin_key, square, customers, phones=False)
        await asyncio.to_thread(world.launch_everywhere, made, square, plan.number("radius_m"), QUIET)
        await evidence.until_live(stage.database)
        for number in range(plan.count("rounds")):
            await _seen(stage, made, square, customers)
            took.append(await _round(plan, stage, made, number))
            told(f"{took[-1]:.2f} s")
    note = (
        f"{customers} customers in {plan.count('fences')} fences, all with a decision each; from the activation "
        "sent until all decisions were seen committed; the figure is the worst round"
    )
    return [row(plan.bar("live_decided"), took, note, ours=max(took))]


async def _seen(stage: Stage, made: world.World, square: Square, customers: int) -> None:
    """Everybody reports from the middle of a fence, and that is matched."""
    before = await evidence.matched(stage.database)
    lat, lng = square.fences
    at = world.instant_now()
    for first in range(0, customers, BATCH):
        rows = [
            {
                "customer": customer_id(one),
                "lat": float(lat[one % len(lat)]),
                "lng": float(lng[one % len(lng)]),
                "accuracy_m": 8.5,
                "at": at,
            }
            for one in range(first, min(first + BATCH, customers))
        ]
        await asyncio.to_thread(stage.client.ask, "POST", "/v1/pings", made.app_key, {"pings": rows})
    await evidence.until_matched(stage.database, before + customers)


async def _round(plan: Plan, stage: Stage, made: world.World, number: int) -> float:
    codes = [world.store_code(index) for index in range(plan.count("fences"))]
    body: dict[str, Any] = world.a_campaign(f"live-{number}", codes, plan.number("radius_m"))
    campaign = (await asyncio.to_thread(made.post, "/v1/campaigns", body))["id"]
    began_s = time.time()
    await asyncio.to_thread(made.post, f"/v1/campaigns/{campaign}/activate")
    while (n := await stage.database.fetchval(_DECIDED, campaign)) < plan.count("customers"):
        if time.time() > began_s + PATIENCE_S:
            raise evidence.NotMatched(f"{n} of {plan.count('customers')} are decided")
        await asyncio.sleep(evidence.POLL_S)
    took_s = time.time() - began_s
    await asyncio.to_thread(made.stop, campaign)
    return took_s
