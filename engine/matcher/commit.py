"""The decision transaction: positions first, then all that the steps decided, or nothing.

Several partitions of one owner share a transaction. A partition whose position does not move has another owner: the
transaction is rolled back, that partition is dropped by the caller, and the rest is committed without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from engine.matcher.decision import Decision, StepResult, derived
from engine.postgres import queries
from offers import coupon


@dataclass
class Share:
    """One partition's part of a transaction: who owns it, from where to where, and what was found."""

    p: int
    epoch: int
    position: int
    becomes: int
    fact_seq: int
    result: StepResult


class NotMine(Exception):
    """These partitions have another owner."""

    def __init__(self, partitions: frozenset[int]) -> None:
        super().__init__(f"partitions {sorted(partitions)} have another owner")
        self.partitions = partitions


async def commit(connection: asyncpg.Connection, shares: Sequence[Share], coupon_key: bytes) -> frozenset[UUID]:
    """Write *shares* in one transaction; answer the ids of decisions that were there already (and wrote nothing).

    NotMine: nothing was written, the named partitions are lost."""
    async with connection.transaction():
        await _move(connection, shares)
        decisions = [(share.p, decision) for share in shares for decision in share.result.decisions]
        repeated: frozenset[UUID] = frozenset()
        if decisions:
            rows = [_row(p, decision, coupon_key) for p, decision in decisions]
            fresh = {row["id"] async for row in queries.matcher.commit_decisions(connection, decisions=rows)}
            repeated = frozenset(decision.id for _, decision in decisions) - fresh
        await _money(connection, shares)
        await _tally(connection, shares)
    return repeated


async def _move(connection: asyncpg.Connection, shares: Sequence[Share]) -> None:
    moved = {
        row["p"]
        async for row in queries.matcher.move_positions(
            connection,
            p=[share.p for share in shares],
            epoch=[share.epoch for share in shares],
            position=[share.position for share in shares],
            becomes=[share.becomes for share in shares],
            fact_seq=[share.fact_seq for share in shares],
        )
    }
    lost = frozenset(share.p for share in shares) - moved
    if lost:
        raise NotMine(lost)


async def _money(connection: asyncpg.Connection, shares: Sequence[Share]) -> None:
    refunds = [(share.p, campaign, decision) for share in shares for decision, campaign in share.result.refunds]
    if refunds:
        p, campaign, decision = zip(*refunds, strict=True)
        await queries.matcher.commit_refunds(connection, p=p, campaign=campaign, decision=decision)
    returns = [(share.p, c, n) for share in shares for c, n in share.result.returned.items() if n]
    if returns:
        p, campaign, n = zip(*returns, strict=True)
        await queries.matcher.commit_returns(connection, p=p, campaign=campaign, n=n)


async def _tally(connection: asyncpg.Connection, shares: Sequence[Share]) -> None:
    counts = [(share.p, c, name, n) for share in shares for (c, name), n in share.result.tally.items() if n]
    if counts:
        p, campaign, name, n = zip(*counts, strict=True)
        await queries.matcher.commit_tally(connection, p=p, campaign=campaign, name=name, n=n)


def _row(p: int, decision: Decision, coupon_key: bytes) -> dict[str, Any]:
    """A decision as the record `commit_decisions` reads; times in epoch milliseconds."""
    campaign = decision.campaign
    code = coupon.code(coupon_key, decision.coupon)
    return {
        "id": decision.id,
        "p": p,
        "position": decision.position,
        "customer": decision.number,
        "consents": decision.consents,
        "trigger": decision.trigger,
        "occasion": decision.occasion,
        "campaign": campaign.id,
        "retailer": campaign.retailer,
        "store": decision.store,
        "cell": decision.cell,
        "event_at": decision.event_at_ms,
        "logged_at": decision.logged_ms,
        "terms": decision.terms,
        "held": [{"campaign": held.campaign, "reason": held.reason} for held in decision.held],
        "coupon": decision.coupon,
        "code_hash": coupon.code_hash(code).hex(),
        "offer": campaign.offer,
        "valid_until": decision.valid_until_ms,
        "push": derived(decision.id, "fcm"),
        "inapp": derived(decision.id, "inapp"),
        "title": campaign.creative.title,
        "body": campaign.creative.body,
    }
