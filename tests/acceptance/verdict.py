"""What must hold after any fault, asked of PostgreSQL and of the stand-in's ledger."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from engine.standin.ledger import Arrival
from tests.acceptance.bodies import RARE_COUPONS
from tests.acceptance.traffic import Acknowledged
from tests.acceptance.world import World

SLACK_MS = 500
"""A send may begin this long after the answer to a withdrawal of consent."""

FORBIDDEN = {
    "two decisions for one occasion": """
        SELECT customer, campaign, occasion FROM decision GROUP BY 1, 2, 3 HAVING count(*) > 1""",
    "two decisions for one event": """
        SELECT customer, event_at FROM decision WHERE trigger <> 'dwell' GROUP BY 1, 2 HAVING count(*) > 1""",
    "a position, an epoch or a fact count that went back": """
        SELECT p FROM witness
        WHERE same_log AND position < was_position OR epoch < was_epoch OR fact_seq < was_fact_seq""",
    "more coupons than the cap": """
        SELECT d.customer, d.campaign FROM decision d JOIN campaign c ON c.id = d.campaign WHERE NOT d.refunded
        GROUP BY 1, 2, c.spec HAVING count(*) > (c.spec -> 'cap' ->> 'coupons')::int""",
    "a decision without its one coupon": """
        SELECT d.id FROM decision d LEFT JOIN coupon k ON k.decision = d.id GROUP BY d.id HAVING count(k.id) <> 1""",
    "a decision without its one debit": """
        SELECT d.id FROM decision d LEFT JOIN budget_ledger l ON l.decision = d.id AND l.kind = 'debit'
        GROUP BY d.id HAVING count(l.decision) <> 1""",
    "a refund that is not the void coupon's": """
        SELECT d.id FROM decision d JOIN coupon k ON k.decision = d.id
        LEFT JOIN budget_ledger l ON l.decision = d.id AND l.kind = 'refund'
        WHERE (k.state = 'void') <> d.refunded OR d.refunded <> (l.decision IS NOT NULL)""",
    "a block that its ledger does not add up to": """
        SELECT campaign, p FROM budget_block b
        LEFT JOIN (SELECT campaign, p, sum(CASE kind WHEN 'debit' THEN 1 ELSE -1 END) AS n
                   FROM budget_ledger GROUP BY 1, 2) l USING (campaign, p)
        WHERE b.spent <> coalesce(l.n, 0) OR b.spent > b.granted""",
    "a ledger without its block": """
        SELECT campaign, p FROM budget_ledger l WHERE NOT EXISTS (
            SELECT FROM budget_block b WHERE b.campaign = l.campaign AND b.p = l.p)""",
    "a budget that is not the sum of its blocks": """
        SELECT u.campaign FROM budget u LEFT JOIN budget_block b USING (campaign)
        GROUP BY u.campaign
        HAVING u.leased <> coalesce(sum(b.granted), 0) + u.first * (16 - count(b.p)) OR u.leased > u.total""",
    "a message that has not ended": """
        SELECT id FROM message_state WHERE state IN ('queued', 'leased') OR settled_at IS NULL""",
    "a decision without a message": """
        SELECT id FROM decision d WHERE NOT EXISTS (SELECT FROM message m WHERE m.decision = d.id)""",
    "an inbox that is not what was sent in-app": """
        SELECT m.id FROM message_state m LEFT JOIN inbox i ON i.message = m.id
        WHERE m.channel = 'inapp' AND (m.state = 'sent') <> (i.message IS NOT NULL)""",
    "a redemption of a coupon that is not redeemed": """
        SELECT k.id FROM coupon k LEFT JOIN redemption r ON r.coupon = k.id
        WHERE (k.state = 'redeemed') <> (r.coupon IS NOT NULL)""",
}
"""What it is called → rows that show it."""


async def judge(world: World, promised: Acknowledged, *, repeats: bool = False) -> None:
    """Fail with everything that is lost or doubled. *repeats*: a sender died, so a push may have arrived twice."""
    wrong = {what: len(rows) for what, sql in FORBIDDEN.items() if (rows := await world.ask(sql))}
    wrong |= await _broken_promises(world, promised)
    wrong |= await _pushes(world, promised, repeats)
    assert not wrong, wrong


async def _broken_promises(world: World, promised: Acknowledged) -> dict[str, int]:
    receipts = {row[0] for row in await world.ask("SELECT receipt FROM purchase")}
    redeemed = {str(row["coupon"]): row["till"] for row in await world.ask("SELECT coupon, till FROM redemption")}
    drafts = {row[0] for row in await world.ask("SELECT id FROM campaign")}
    bits = {row["id"]: row["consents"] for row in await world.ask("SELECT id, consents FROM customer")}
    given = await _coupons(world, "must")
    rare = await _coupons(world, "rare")
    spent = await world.one("SELECT sum(spent) FROM budget_block WHERE campaign = $1", world.campaigns["rare"])
    wrong = {
        "purchases lost": len(promised.receipts - receipts),
        "redemptions lost or told wrong": sum(redeemed.get(c) != till for c, till in promised.redeemed.items()),
        "redemptions nobody was told of": len(redeemed.keys() - promised.redeemed.keys()),
        "campaigns lost": len(promised.drafts - drafts),
        "withdrawals lost": sum(bool(bits[one] & 12) for one in promised.revoked_at_ms),
        "walked in and got none": sum(given[one] == 0 for one in promised.walked),
        "walked in and got several": sum(given[one] > 1 for one in promised.walked),
        "several rare coupons": sum(n > 1 for n in rare.values()),
        "more rare coupons than there are": max(0, spent - RARE_COUPONS),
    }
    return {what: n for what, n in wrong.items() if n}


async def _coupons(world: World, name: str) -> Counter[str]:
    """Customer → coupons of the campaign."""
    rows = await world.ask(
        "SELECT c.id, count(*) AS n FROM coupon k JOIN customer c ON c.number = k.customer"
        " WHERE k.campaign = $1 GROUP BY c.id",
        world.campaigns[name],
    )
    return Counter({row["id"]: row["n"] for row in rows})


async def _pushes(world: World, promised: Acknowledged, repeats: bool) -> dict[str, int]:
    """The ledger against the outbox: one tag a decision, one phone a tag, nothing sent that was not decided."""
    arrivals = [one for one in world.stand_in.ledger.since(0, {}, 10**9) if one.accepted]
    rows = await world.ask(
        "SELECT m.decision, m.state, 'registration:' || c.id AS phone FROM message_state m"
        " JOIN customer c ON c.number = m.customer WHERE m.channel = 'fcm'"
    )
    phones = {row["decision"]: row["phone"] for row in rows}
    states = {row["decision"]: row["state"] for row in rows}
    tags = Counter(UUID(one.tag) for one in arrivals)
    wrong = {
        "pushes without their decision": sum(phones.get(UUID(one.tag)) != one.registration for one in arrivals),
        "pushes whose data name another decision": sum(one.data["decision"] != one.tag for one in arrivals),
        "sent by our books, never arrived": sum(state == "sent" and not tags[d] for d, state in states.items()),
        "arrived, but not so in our books": sum(states.get(tag) not in ("sent", "unknown") for tag in tags),
        "pushes repeated": 0 if repeats else sum(n - 1 for n in tags.values()),
        "pushes after a withdrawal": sum(_late(one, promised) for one in arrivals),
    }
    return {what: n for what, n in wrong.items() if n}


def _late(arrival: Arrival, promised: Acknowledged) -> bool:
    revoked_at_ms = promised.revoked_at_ms.get(arrival.registration.removeprefix("registration:"))
    return revoked_at_ms is not None and arrival.at_ms > revoked_at_ms + SLACK_MS
