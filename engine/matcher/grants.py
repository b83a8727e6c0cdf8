"""Budget blocks: lease coupons from a campaign's budget to a partition before it needs them.

The block, the lease and the fact that tells the matcher are one transaction, so a block is never known twice or not
at all. A partition that runs dry while others sit on unspent coupons marks the budget starved; the others return half
of what they do not spend.
"""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg

from engine.postgres import queries
from offers.budget import Blocks


async def lease(pool: asyncpg.Pool, p: int, campaigns: Iterable[int], *, starving: bool) -> int:
    """Lease a block of each campaign for the partition; answer how many got one."""
    wanted = sorted(campaigns)
    if not wanted:
        return 0
    async with pool.acquire() as connection, connection.transaction():
        got = [
            (row["campaign"], row["n"])
            async for row in queries.matcher.grant_blocks(connection, p=p, campaigns=wanted, starving=starving)
        ]
        for campaign, coupons in got:
            payload = {"campaign": campaign, "coupons": coupons}
            await queries.matcher.append_fact(connection, p=p, kind="grant", payload=payload)
    return len(got)


def to_return(blocks: Blocks, starving: Iterable[int]) -> dict[int, int]:
    """Campaign → coupons this partition should return: half of what is left, rounded up."""
    return {campaign: -(-blocks.left(campaign) // 2) for campaign in starving if blocks.left(campaign) > 0}
