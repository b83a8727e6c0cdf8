"""The decision transaction: positions first, then all that the steps decided, or nothing; one round trip.

Several partitions of one owner share a transaction. A partition whose position does not move has another owner: the
transaction is rolled back, that partition is dropped by the caller, and the rest is committed without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from engine.matcher.decision import Decision, StepResult, derived
from engine.postgres import queries
from offers import coupon
from offers.decide import Held

_ANOTHER_OWNER = "CM001"


@dataclass
class Share:
    """One partition's part of a transaction: who owns it, from where to where, and what was found."""

    p: int
    epoch: int
    position: int
    becomes: int
    fact_seq: int
    result: StepResult
    unwritten: frozenset[int] = frozenset()
    """Campaigns of the result whose blocks have no row yet."""


class NotMine(Exception):
    """These partitions have another owner."""

    def __init__(self, partitions: frozenset[int]) -> None:
        super().__init__(f"partitions {sorted(partitions)} have another owner")
        self.partitions = partitions


async def commit(connection: asyncpg.Connection, shares: Sequence[Share], coupon_key: bytes) -> frozenset[UUID]:
    """Write *shares* in one transaction; answer the ids of decisions that were there already (and wrote nothing).

    NotMine: nothing was written, the named partitions are lost."""
    if any(share.unwritten for share in shares):
        pairs = [(share.p, campaign) for share in shares for campaign in sorted(share.unwritten)]
        partitions, campaigns = map(list, zip(*pairs, strict=True))
        await queries.matcher.write_blocks(connection, p=partitions, campaign=campaigns)
    try:
        fresh = {row["id"] async for row in queries.matcher.commit_turn(connection, turn=_turn(shares, coupon_key))}
    except asyncpg.PostgresError as error:
        if error.sqlstate == _ANOTHER_OWNER:
            raise NotMine(frozenset(map(int, error.detail.split(",")))) from error
        raise
    return frozenset(decision.id for share in shares for decision in share.result.decisions) - fresh


def _turn(shares: Sequence[Share], coupon_key: bytes) -> dict[str, list[dict[str, Any]]]:
    """The argument of `candlemaker_commit`."""
    turn = _Turn([], [], [], [], [])
    for share in shares:
        p, result = share.p, share.result
        turn.moves.append(
            {
                "p": p,
                "epoch": share.epoch,
                "position": share.position,
                "becomes": share.becomes,
                "fact_seq": share.fact_seq,
            }
        )
        turn.decisions.extend(_row(p, decision, coupon_key) for decision in result.decisions)
        turn.refunds.extend({"p": p, "campaign": c, "decision": decision} for decision, c in result.refunds)
        turn.returns.extend({"p": p, "campaign": c, "n": n} for c, n in result.returned.items() if n)
        turn.tally.extend({"p": p, "campaign": c, "name": name, "n": n} for (c, name), n in result.tally.items() if n)
    return turn._asdict()


class _Turn(NamedTuple):
    moves: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    refunds: list[dict[str, Any]]
    returns: list[dict[str, Any]]
    tally: list[dict[str, Any]]


def _row(p: int, decision: Decision, coupon_key: bytes) -> dict[str, Any]:
    """A decision as a turn has it; times in epoch milliseconds."""
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
        "held": [_held(held) for held in decision.held],
        "coupon": decision.coupon,
        "code_hash": coupon.code_hash(code).hex(),
        "offer": campaign.offer,
        "valid_until": decision.valid_until_ms,
        "push": derived(decision.id, "fcm"),
        "inapp": derived(decision.id, "inapp"),
        "title": campaign.creative.title,
        "body": campaign.creative.body,
    }


def _held(held: Held) -> dict[str, Any]:
    """A candidate that was not chosen, with what it was ranked by if nothing else held it."""
    out: dict[str, Any] = {"campaign": held.campaign, "reason": held.reason, "store": held.store}
    return out | {"terms": held.terms} if held.terms else out
