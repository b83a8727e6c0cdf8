"""The outbox on a real PostgreSQL: leases are disjoint, outcomes are booked once, what did not go out comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from engine.clock import Clock
from engine.matcher.commit import Share, commit
from engine.matcher.step import step
from engine.postgres import queries
from engine.postgres.pool import ENGINE, connect, open_pool
from engine.sender.claim import Claim, refusal
from engine.sender.outbox import Ended, Outbox
from engine.sender.retry import Again, Status
from engine.settings import Settings
from tests.contract.matcher_rig import KEY
from tests.databases import copied, in_thread, name_of
from tests.reference.matcher_world import SNAPSHOTS, Log, P, number, state

LEASE_S = 30


@pytest.fixture(scope="module")
def decided_template(servers: Settings, matcher_template: str) -> Iterator[str]:
    """Name of a database in which customers 0 and 1 were decided an offer: two decisions, four messages."""
    with copied(servers, matcher_template) as url:
        in_thread(decide(replace(servers, database_url=url)))
        yield name_of(url)


async def decide(settings: Settings) -> None:
    connection = await connect(settings, ENGINE)
    epoch = (await queries.matcher.take_over(connection, p=P))["epoch"]
    log = Log()
    log.pings([0, 1], "street")
    log.pings([0, 1], "one")
    await commit(connection, [Share(P, epoch, 0, 1, 0, step(state(), log.entries, SNAPSHOTS))], KEY)
    # The world's decisions are of a fixed day; what hangs on the clock is moved to today.
    await connection.execute("UPDATE message SET expires_at = now() + interval '1 hour'")
    await connection.execute("UPDATE coupon SET valid_until = now() + interval '1 hour'")
    await connection.close()


@pytest.fixture
async def pool(servers: Settings, decided_template: str) -> AsyncIterator[Any]:
    """Sessions like a sender's, on a fresh copy."""
    with copied(servers, decided_template) as url:
        one = await open_pool(replace(servers, database_url=url), ENGINE, 2, 6)
        yield one
        one.terminate()


def outbox(pool: Any, name: str = "a") -> Outbox:
    return Outbox(pool, name, LEASE_S)


async def states(pool: Any) -> dict[str, list[str]]:
    """Channel → states of its messages."""
    rows = await pool.fetch("SELECT channel, state FROM message ORDER BY channel, state")
    return {name: [row["state"] for row in rows if row["channel"] == name] for name in ("fcm", "inapp")}


async def given_back(pool: Any) -> dict[str, Any]:
    """What comes back when nothing went out."""
    return {
        "void": await pool.fetchval("SELECT count(*) FROM coupon WHERE state = 'void'"),
        "facts": [dict(row) for row in await pool.fetch("SELECT p, kind, payload FROM fact ORDER BY p, seq")],
    }


def ended(claims: list[Claim], status: Status) -> list[Ended]:
    return [Ended(claim.id, status, "because") for claim in claims]


# ── leases ──


async def test_two_senders_lease_disjoint_messages(pool: Any) -> None:
    claims = await asyncio.gather(*(outbox(pool, name).lease("fcm", 1) for name in "ab"))
    assert [len(some) for some in claims] == [1, 1]
    assert claims[0][0].id != claims[1][0].id
    assert await outbox(pool, "c").lease("fcm", 10) == []


async def test_senders_never_wait_for_each_other(pool: Any) -> None:
    """A row that another sender has locked is skipped, not waited for."""
    async with pool.acquire() as holder, holder.transaction():
        held = await holder.fetchval("SELECT id FROM message WHERE channel = 'fcm' ORDER BY id LIMIT 1 FOR UPDATE")
        async with asyncio.timeout(5):
            claims = await outbox(pool).lease("fcm", 10)
    assert len(claims) == 1 and claims[0].id != held


async def test_a_claim_carries_what_sending_rests_on(pool: Any) -> None:
    registered = "INSERT INTO device (customer, name, platform, kind, registration) VALUES ($1, $2, 'web', 'fid', $2)"
    await pool.execute(registered, number(0), "old")
    await pool.execute(registered, number(0), "new")
    await pool.execute(registered, number(0), "gone")
    await pool.execute("UPDATE device SET state = 'removed' WHERE name = 'gone'")
    claims = {claim.customer: claim for claim in await outbox(pool).lease("fcm", 10)}
    one = claims[number(0)]
    assert (one.registration, one.kind, one.campaign_state, one.coupon_state) == ("new", "fid", "live", "issued")
    assert refusal(one, "fcm", Clock().now_ms()) is None
    other = claims[number(1)]
    assert refusal(other, "fcm", Clock().now_ms()) == (Status.FAILED, "no_registration")
    assert one.push().data["coupon"] == str(one.coupon)
    assert "new" not in repr(one) and one.title not in repr(one)


@pytest.mark.parametrize(
    ("change", "channel", "why"),
    [
        ("UPDATE customer SET consents = consents & ~4", "fcm", (Status.SUPPRESSED, "no_consent")),
        ("UPDATE customer SET consents = consents & ~8", "inapp", (Status.SUPPRESSED, "no_consent")),
        ("UPDATE campaign SET state = 'paused' WHERE id = 1", "inapp", (Status.SUPPRESSED, "campaign_paused")),
        (
            "UPDATE campaign SET state = 'ended', stopped = true WHERE id = 1",
            "inapp",
            (Status.SUPPRESSED, "campaign_stopped"),
        ),
        ("UPDATE coupon SET state = 'redeemed', redeemed_at = now()", "inapp", (Status.SUPPRESSED, "coupon_redeemed")),
        ("UPDATE message SET expires_at = now()", "inapp", (Status.EXPIRED, "offer_over")),
        ("UPDATE customer SET consents = consents & ~8", "fcm", (Status.FAILED, "no_registration")),
    ],
)
async def test_a_claim_is_refused_for_what_changed_since(pool: Any, change: str, channel: str, why: Any) -> None:
    await pool.execute(change)
    for claim in await outbox(pool).lease(channel, 10):
        assert refusal(claim, channel, Clock().now_ms()) == why


# ── outcomes ──


async def test_revoked_consent_suppresses_both_channels_and_gives_back(pool: Any) -> None:
    await pool.execute("UPDATE customer SET consents = 1 WHERE number = $1", number(0))
    now_ms = Clock().now_ms()
    assert await outbox(pool).deliver_inapp(10, now_ms, refusal) == (2, [number(1)])
    assert (await given_back(pool))["void"] == 0, "the push may still go out"
    mine = [claim for claim in await outbox(pool).lease("fcm", 10) if claim.customer == number(0)]
    status, reason = refusal(mine[0], "fcm", now_ms) or (None, "")
    assert status is Status.SUPPRESSED
    await outbox(pool).settle([Ended(mine[0].id, status, reason)])
    back = await given_back(pool)
    assert back["void"] == 1
    decision = await pool.fetchrow("SELECT id, logged_at FROM decision WHERE customer = $1", number(0))
    payload = {
        "number": number(0),
        "campaign": 1,
        "decision": decision["id"].hex,
        "logged_ms": round(decision["logged_at"].timestamp() * 1000),
    }
    assert back["facts"] == [{"p": P, "kind": "outcome", "payload": payload}]


async def test_what_came_back_can_be_given_again(pool: Any) -> None:
    """The outcome, applied by the matcher: the cap of that very moment and the block are as before."""
    fresh = state()
    log = Log()
    log.pings([0], "street")
    log.pings([0], "one")
    step(fresh, log.entries, SNAPSHOTS)
    before = (fresh.caps.notes(0), fresh.blocks.spent(1))
    await outbox(pool).settle(ended(await outbox(pool).lease("fcm", 10), Status.FAILED))
    await outbox(pool).settle(ended(await outbox(pool).lease("inapp", 10), Status.SUPPRESSED))
    facts = [row["payload"] for row in await pool.fetch("SELECT payload FROM fact ORDER BY seq")]
    mine = next(payload for payload in facts if payload["number"] == number(0))
    result = step(fresh, [log.fact("outcome", **mine)], SNAPSHOTS)
    assert before == ([(1, mine["logged_ms"])], 1)
    assert (fresh.caps.notes(0), fresh.blocks.spent(1)) == ([], 0)
    assert result.refunds == [(UUID(mine["decision"]), 1)]


async def test_one_channel_that_went_out_keeps_the_coupon(pool: Any) -> None:
    await outbox(pool).settle(ended(await outbox(pool).lease("fcm", 10), Status.FAILED))
    await outbox(pool).deliver_inapp(10, Clock().now_ms(), refusal)
    assert await given_back(pool) == {"void": 0, "facts": []}
    assert await states(pool) == {"fcm": ["failed"] * 2, "inapp": ["sent"] * 2}


async def test_an_unknown_outcome_keeps_the_coupon(pool: Any) -> None:
    """It may be on the phone."""
    await outbox(pool).settle(ended(await outbox(pool).lease("inapp", 10), Status.SUPPRESSED))
    await outbox(pool).settle(ended(await outbox(pool).lease("fcm", 10), Status.UNKNOWN))
    assert await given_back(pool) == {"void": 0, "facts": []}


async def test_two_channels_that_end_at_once_give_back_once(pool: Any) -> None:
    """Neither sees the other's end before it is committed, so the second waits for the first: else each would take the
    other's message for alive, and nobody would give back."""
    push, inapp = await outbox(pool, "a").lease("fcm", 10), await outbox(pool, "b").lease("inapp", 10)
    async with pool.acquire() as connection, connection.transaction():
        await outbox(pool, "a")._settle(connection, ended(push, Status.FAILED))
        second = asyncio.create_task(outbox(pool, "b").settle(ended(inapp, Status.EXPIRED)))
        while not second.done() and not await _somebody_waits(pool):
            await asyncio.sleep(0.01)
    await second
    back = await given_back(pool)
    assert back["void"] == 2 and len(back["facts"]) == 2


async def _somebody_waits(pool: Any) -> bool:
    waits: bool = await pool.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
    return waits


async def test_a_redeemed_coupon_is_not_taken_back(pool: Any) -> None:
    claims = await outbox(pool).lease("fcm", 10) + await outbox(pool).lease("inapp", 10)
    await pool.execute("UPDATE coupon SET state = 'redeemed', redeemed_at = now()")
    await outbox(pool).settle(ended(claims, Status.FAILED))
    assert await given_back(pool) == {"void": 0, "facts": []}


async def test_a_settlement_that_is_repeated_writes_nothing(pool: Any) -> None:
    claims = await outbox(pool).lease("fcm", 10) + await outbox(pool).lease("inapp", 10)
    for _ in range(2):
        await outbox(pool).settle(ended(claims, Status.FAILED))
    assert len((await given_back(pool))["facts"]) == 2


# ── senders that die, and those that only seemed to ──


async def test_abandoned_pushes_come_back_ambiguous_and_messages_in_app_do_not(pool: Any) -> None:
    await outbox(pool, "dead").lease("fcm", 10)
    await outbox(pool, "dead").lease("inapp", 10)
    await outbox(pool).release_abandoned()
    assert await outbox(pool).lease("fcm", 10) == [], "the lease still runs"
    await pool.execute("UPDATE message SET leased_until = now() - interval '1 second'")
    await outbox(pool).release_abandoned()
    assert [claim.ambiguous for claim in await outbox(pool).lease("fcm", 10)] == [True, True]
    assert [claim.ambiguous for claim in await outbox(pool).lease("inapp", 10)] == [False, False]


async def test_a_sender_whose_lease_was_taken_over_writes_nothing(pool: Any) -> None:
    zombie, heir = outbox(pool, "zombie"), outbox(pool, "heir")
    old = await zombie.lease("fcm", 10)
    await pool.execute("UPDATE message SET leased_until = now() - interval '1 second'")
    await heir.release_abandoned()
    claims = await heir.lease("fcm", 10)
    assert {claim.id for claim in claims} == {claim.id for claim in old}
    await zombie.settle(ended(old, Status.FAILED))
    await zombie.requeue([(claim.id, Again(0, True, False)) for claim in old])
    assert (await states(pool))["fcm"] == ["leased"] * 2
    assert await pool.fetchval("SELECT sum(attempts) FROM message") == 0
    await heir.settle(ended(claims, Status.SENT))
    await zombie.settle(ended(old, Status.FAILED))
    assert (await states(pool))["fcm"] == ["sent"] * 2


async def test_what_is_requeued_waits_for_its_time(pool: Any) -> None:
    claims = await outbox(pool).lease("fcm", 10)
    soon, late = claims
    now_ms = Clock().now_ms()
    again = [(soon.id, Again(now_ms, True, True)), (late.id, Again(now_ms + 60_000, False, False))]
    await outbox(pool).requeue(again)
    back = await outbox(pool).lease("fcm", 10)
    assert [(claim.id, claim.attempts, claim.ambiguous) for claim in back] == [(soon.id, 1, True)]
    assert back[0].first_tried_ms == soon.first_tried_ms, "the hour of trying runs from the first attempt"


# ── in-app ──


async def test_the_inbox_is_numbered_without_gaps_and_holds_a_message_once(pool: Any) -> None:
    woken = await asyncio.gather(*(outbox(pool, name).deliver_inapp(1, Clock().now_ms(), refusal) for name in "abc"))
    assert sorted(one for _, some in woken for one in some) == [number(0), number(1)]
    rows = await pool.fetch("SELECT customer, seq FROM inbox ORDER BY customer")
    assert [tuple(row) for row in rows] == [(number(0), 1), (number(1), 1)]
    assert await pool.fetchval("SELECT sum(inbox_seq) FROM customer") == 2


# ── what the provider says of registrations and payloads ──


async def test_a_registration_renewed_since_the_lease_is_spared(pool: Any) -> None:
    for row, name in ((0, "dead"), (1, "renewed")):
        await pool.execute(
            "INSERT INTO device (customer, name, platform, kind, registration) VALUES ($1, $2, 'ios', 'token', $2)",
            *(number(row), name),
        )
    claims = {claim.registration: claim for claim in await outbox(pool).lease("fcm", 10)}
    leased_ms = Clock().now_ms() + 1
    await pool.execute("UPDATE device SET registered_at = now() + interval '1 second' WHERE name = 'renewed'")
    for claim in claims.values():
        await outbox(pool).dead_device(claim, "removed", leased_ms)
    assert dict(await pool.fetch("SELECT name, state FROM device")) == {"dead": "removed", "renewed": "active"}


async def test_a_refused_payload_stops_its_campaign_once_and_every_partition_hears_of_it(pool: Any) -> None:
    assert await outbox(pool).stop_campaign(1)
    assert not await outbox(pool).stop_campaign(1)
    rows = await pool.fetch("SELECT p, payload FROM fact WHERE kind = 'stop' ORDER BY p")
    assert [(row["p"], row["payload"]) for row in rows] == [(p, {"campaign": 1}) for p in range(16)]
    assert [tuple(row) for row in await pool.fetch("SELECT verb, caller FROM campaign_audit")] == [("stop", "sender")]
