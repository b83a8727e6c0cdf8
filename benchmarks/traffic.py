"""Decisions without end: a few customers of every partition, in and out of one store's fence by turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks import evidence, world
from benchmarks.bars import Plan
from benchmarks.bodies import customer_id
from benchmarks.generator import Order
from benchmarks.generator import World as Where
from benchmarks.ground import Square
from benchmarks.load import load
from benchmarks.stage import Stage, staged
from engine.log.keys import PARTITIONS, partition_of

RADIUS_M = 40.0
FOR_EVER_S = 600.0
FLOWS_S = 20.0


@dataclass(frozen=True)
class Traffic:
    """A stack under such traffic."""

    stage: Stage
    world: world.World

    def launch(self, code: str) -> int:
        """A campaign at the store that everybody steps into."""
        return self.world.launch(code, [world.store_code(0)], RADIUS_M)

    async def flows(self, campaign: int, timeout_s: float = FLOWS_S) -> float:
        """Return once every partition has decided a ping from now on for *campaign*: seconds that took."""
        began_s = time.time()
        while await self._partitions(1000 * began_s, campaign) < PARTITIONS:
            if time.time() > began_s + timeout_s:
                raise evidence.NotMatched(f"no decisions in every partition after {timeout_s:.0f} s")
            await asyncio.sleep(evidence.POLL_S)
        return time.time() - began_s

    async def _partitions(self, since_ms: float, campaign: int) -> int:
        """How many partitions have committed a decision of a ping from *since_ms* on."""
        return int(await self.stage.database.fetchval(_PARTITIONS, campaign, since_ms))


_PARTITIONS = """SELECT count(DISTINCT p) FROM decision
WHERE campaign = $1 AND event_at >= to_timestamp($2 / 1000.0::float8)"""


@asynccontextmanager
async def traffic(plan: Plan, matchers: int = 1) -> AsyncIterator[Traffic]:
    """The stack and its traffic for the length of the block; no campaign yet."""
    customers = plan.count("customers")
    parts = {partition_of(customer_id(index)) for index in range(customers)}
    assert len(parts) == PARTITIONS, "every partition needs a customer"
    async with staged(plan.settings, matchers) as stage:
        square = Square(plan.seed, 2_000.0, 1)
        made = await asyncio.to_thread(world.make, stage.client, stage.admin_key, square, customers)
        where = Where(stage.stack.url, made.app_key, plan.seed, square.side_m, customers, "step")
        order = Order(customers // 2, plan.count("connections"), FOR_EVER_S, plan.number("pings_per_s"))
        async with load(where) as generator, generator.running(order):
            yield Traffic(stage, made)
