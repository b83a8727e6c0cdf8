"""Where ours says a customer was last: as the matcher's checkpoint in Valkey has it."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from benchmarks.stage import Stage
from engine.log.keys import PARTITIONS
from engine.log.valkey import connect
from engine.matcher.checkpoint import Checkpoints
from engine.matcher.state import State

PATIENCE_S: Final = 120.0
"""Every partition is checkpointed in turn."""


async def last_position(stage: Stage, customer: str, expected: tuple[float, float]) -> tuple[float, float]:
    """(lat, lng) of the customer; waits for the checkpoint that has *expected*."""
    number = await stage.database.fetchval("SELECT number FROM customer WHERE id = $1", customer)
    client, deadline_s = connect(stage.stack.settings.redis_url), time.monotonic() + PATIENCE_S
    try:
        while True:
            state = State(number % PARTITIONS)
            await Checkpoints(client).load(state)
            found = state.presence.position(number // PARTITIONS)
            place = found[:2] if found is not None else (0.0, 0.0)
            if max(abs(place[0] - expected[0]), abs(place[1] - expected[1])) < 1e-6 or time.monotonic() > deadline_s:
                return place
            await asyncio.sleep(1.0)
    finally:
        await client.aclose()
