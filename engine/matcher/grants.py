"""Budget blocks: lease coupons from a campaign's budget to a partition before it needs them.

The block, the lease and the fact that tells the matcher are one transaction, so a block is never known twice or not
at all. A partition that runs dry while others sit on unspent coupons marks the budget starved; the others return half
of what they do not spend.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import asyncpg
import numpy as np

from engine.matcher.begun import began, places
from engine.matcher.state import State
from engine.postgres import queries
from geo.arrays import Longs
from geo.fence import RADIUS_MAX_M, Circle
from geo.match import match
from geo.records import NEVER
from offers.budget import Blocks
from offers.snapshot import Snapshot

NO_NEEDS: Mapping[int, int] = MappingProxyType({})


GRANTS_A_FACT = 1_000
QUESTIONS = 256
"""Fences around which customers are counted one by one; beyond, everybody is looked up once."""


async def lease(
    pool: asyncpg.Pool, p: int, campaigns: Iterable[int], *, starving: bool, needs: Mapping[int, int] = NO_NEEDS
) -> int:
    """Lease a block of each campaign for the partition, larger where *needs* says so; answer how many got one."""
    wanted = sorted(campaigns)
    if not wanted:
        return 0
    async with pool.acquire() as connection, connection.transaction():
        got = [
            (row["campaign"], row["n"])
            async for row in queries.matcher.grant_blocks(
                connection, p=p, campaigns=wanted, needs=[needs.get(c, 0) for c in wanted], starving=starving
            )
        ]
        for start in range(0, len(got), GRANTS_A_FACT):
            payload = {"grants": got[start : start + GRANTS_A_FACT]}
            await queries.matcher.append_fact(connection, p=p, kind="grant", payload=payload)
    return len(got)


def needed(state: State, new: Snapshot) -> dict[int, int]:
    """Campaign that *new* begins here → coupons for who is around its fences now, less what is left of its block.

    They are all met at the switch, and nobody waits for a coupon that is leased a moment later.
    """
    fence, campaign = places(new, began(state.snapshot, new))
    reach_m = new.fences.reach_m[fence]
    around: Counter[int] = Counter()
    if len(fence) > QUESTIONS or reach_m.max(initial=0.0) > RADIUS_MAX_M:
        inside = _inside(state, new)
        there = np.flatnonzero(inside[fence])
        for at, n in zip(campaign[there].tolist(), inside[fence[there]].tolist(), strict=True):
            around[new.campaigns[at].id] += n
    else:
        for f, at, radius_m in zip(fence.tolist(), campaign.tolist(), reach_m.tolist(), strict=True):
            circle = Circle(0, new.fences.lat.item(f), new.fences.lng.item(f), radius_m)
            around[new.campaigns[at].id] += len(state.pings.inside(circle))
    has = {c: max(state.blocks.left(c), new.by_id[c].first_coupons) for c in around}
    return {c: n - has[c] for c, n in around.items() if n > has[c]}


def _inside(state: State, new: Snapshot) -> Longs:
    """i8[F]: how many customers' last fixes lie in each fence of *new*."""
    customers = state.presence.customers[: state.presence.rows]
    known = customers[customers["at_ms"] != NEVER]
    pairs = match(new.fences, known["lat"], known["lng"])
    counts: Longs = np.bincount(pairs.fence, minlength=len(new.fences))
    return counts


def to_return(blocks: Blocks, starving: Iterable[int]) -> dict[int, int]:
    """Campaign → coupons this partition should return: half of what is left, rounded up."""
    return {campaign: -(-blocks.left(campaign) // 2) for campaign in starving if blocks.left(campaign) > 0}
