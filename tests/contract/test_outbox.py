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
from engine.sender.claim import Claim, Refusal, refusal
from engine.sender.lanes import Lane
from engine.sender.outbox import Batch, DeadDevice, Ended, Lease, Outbox, Range, Waiting
from engine.sender.retry import Status
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
    log.wait(60_000)
    log.pings([0, 1], "one")
    await commit(connection, [Share(P, epoch, 0, 1, 0, step(state(), log.entries, SNAPSHOTS))], KEY)
    # The world's decisions are of a fixed day; what hangs on the clock is moved to today.
    await connection.execute("SET ROLE none")  # a message is never changed by the engine
    await connection.execute("UPDATE message SET expires_at = now() + interval '1 hour'")
    await connection.execute("UPDATE decision SET decided_at = now()")
    await connection.execute("UPDATE coupon SET valid_until = now() + interval '1 hour'")
    await connection.close()


@pytest.fixture
async def pool(servers: Settings, decided_template: str) -> AsyncIterator[Any]:
    """Sessions like a sender's, on a fresh copy."""
    with copied(servers, decided_template) as url:
        one = await open_pool(replace(servers, database_url=url), ENGINE, 2, 6)
        yield one
        one.terminate()


async def change(pool: Any, sql: str, *arguments: Any) -> None:
    """What the engine itself may not: a message is never changed once it is written."""
    async with pool.acquire() as connection:
        await connection.execute("SET ROLE none")
        await connection.execute(sql, *arguments)
        await connection.execute("SET ROLE candlemaker_engine")


def outbox(pool: Any, name: str = "a") -> Outbox:
    return Outbox(pool, name, LEASE_S)


async def leased(pool: Any, name: str = "a") -> list[Lease]:
    return await outbox(pool, name).lease(Lane.TRIGGERED, 10)


async def claims_of(pool: Any, leases: list[Lease], name: str = "a") -> list[Claim]:
    """Everything in these chunks, claimed at once."""
    found: list[Claim] = []
    for one in leases:
        found += await outbox(pool, name).claim(one.day, [Range(one.chunk, 0, one.size)], ())
    return found


async def claimed(pool: Any, name: str = "a") -> list[Claim]:
    return await claims_of(pool, await leased(pool, name), name)


async def states(pool: Any) -> dict[str, list[str]]:
    """Channel → states of its messages."""
    rows = await pool.fetch("SELECT channel, state FROM message_state ORDER BY channel, state")
    return {name: [row["state"] for row in rows if row["channel"] == name] for name in ("fcm", "inapp")}


async def given_back(pool: Any) -> dict[str, Any]:
    """What comes back when nothing went out."""
    return {
        "void": await pool.fetchval("SELECT count(*) FROM coupon WHERE state = 'void'"),
        "facts": [dict(row) for row in await pool.fetch("SELECT p, kind, payload FROM fact ORDER BY p, seq")],
    }


def ended(claims: list[Claim], status: Status, reason: str = "because") -> Batch:
    """The outcome of these, and of their chunks the end."""
    now_ms = Clock().now_ms()
    rows = [
        Ended(one.day, one.chunk, one.seq, status.value, reason, "", one.attempts + 1, now_ms, one.decision)
        for one in claims
    ]
    return Batch(ended=rows, finished=sorted({one.chunk for one in claims}))


async def settle(pool: Any, claims: list[Claim], status: Status, name: str = "a", reason: str = "because") -> None:
    await outbox(pool, name).record(ended(claims, status, reason))


def hide_inapp(claim: Claim, channel: str, now_ms: int) -> Refusal | None:
    """A check that shows nothing."""
    return Refusal(Status.SUPPRESSED, "hidden")


async def two_chunks(pool: Any) -> None:
    """The two pushes of the template, each in a chunk of its own."""
    [chunk] = await pool.fetch("SELECT * FROM chunk WHERE channel = 'fcm'")
    await change(
        pool,
        """WITH other AS (INSERT INTO chunk (day, channel, lane, size, due_at)
               VALUES ($1, 'fcm', 'triggered', 1, now()) RETURNING id)
           UPDATE message SET chunk = other.id, seq = 1 FROM other WHERE chunk = $2 AND seq = 2""",
        chunk["day"], chunk["id"],
    )  # fmt: skip
    await pool.execute("UPDATE chunk SET size = 1 WHERE id = $1", chunk["id"])


# ── leases ──


async def test_two_senders_lease_disjoint_chunks(pool: Any) -> None:
    await two_chunks(pool)
    both = await asyncio.gather(*(outbox(pool, name).lease(Lane.TRIGGERED, 1) for name in "ab"))
    assert [len(some) for some in both] == [1, 1]
    assert both[0][0].chunk != both[1][0].chunk
    assert await leased(pool, "c") == []


async def test_senders_never_wait_for_each_other(pool: Any) -> None:
    """A row that another sender has locked is skipped, not waited for."""
    await two_chunks(pool)
    async with pool.acquire() as holder, holder.transaction():
        held = await holder.fetchval("SELECT id FROM chunk WHERE channel = 'fcm' ORDER BY id LIMIT 1 FOR UPDATE")
        async with asyncio.timeout(5):
            leases = await leased(pool)
    assert [one.chunk for one in leases] != [held] and len(leases) == 1


async def test_a_lane_and_a_blocked_campaign_are_left_alone(pool: Any) -> None:
    assert await outbox(pool).lease(Lane.BULK, 10) == []
    await pool.execute("UPDATE chunk SET campaign = 1")
    assert await outbox(pool).lease(Lane.TRIGGERED, 10, {1}) == []
    assert len(await outbox(pool).lease(Lane.TRIGGERED, 10, {2})) == 1


async def test_what_is_not_due_is_not_leased_and_the_clock_knows_when(pool: Any) -> None:
    await pool.execute("UPDATE chunk SET due_at = now() + interval '1 minute'")
    assert await leased(pool) == []
    due_ms = await outbox(pool).next_due_ms()
    assert due_ms is not None and 50_000 < due_ms - Clock().now_ms() <= 60_000


async def test_the_cursor_is_written_ahead_and_the_lease_renewed(pool: Any) -> None:
    [lease] = await leased(pool)
    await pool.execute("UPDATE chunk SET leased_until = now() + interval '1 second' WHERE id = $1", lease.chunk)
    first = await outbox(pool).claim(lease.day, [Range(lease.chunk, 0, 1)], ())
    row = await pool.fetchrow(
        "SELECT cursor, leased_until > now() + interval '5 seconds' AS renewed FROM chunk WHERE id = $1", lease.chunk
    )
    assert ([one.seq for one in first], tuple(row)) == ([1], (1, True))
    assert (await states(pool))["fcm"] == ["leased", "queued"]
    again = await outbox(pool).claim(lease.day, [Range(lease.chunk, 0, 1)], ())
    assert [one.seq for one in again] == [1], "a claim may be repeated, the cursor does not run back"
    assert await pool.fetchval("SELECT cursor FROM chunk WHERE id = $1", lease.chunk) == 1


async def test_a_claim_carries_what_sending_rests_on(pool: Any) -> None:
    registered = "INSERT INTO device (customer, name, platform, kind, registration) VALUES ($1, $2, $3, 'fid', $2)"
    await pool.execute(registered, number(0), "old", "android")
    await pool.execute(registered, number(0), "new", "web")
    await pool.execute(registered, number(0), "gone", "web")
    await pool.execute("UPDATE device SET state = 'removed' WHERE name = 'gone'")
    leases = await leased(pool)
    claims = {claim.customer: claim for claim in await claims_of(pool, leases)}
    one = claims[number(0)]
    assert (one.registration, one.kind, one.campaign_state, one.coupon_state) == ("new", "fid", "live", "issued")
    assert refusal(one, "fcm", Clock().now_ms()) is None
    other = claims[number(1)]
    assert refusal(other, "fcm", Clock().now_ms()) == Refusal(Status.FAILED, "no_registration")
    push = one.push("title", "body")
    assert push.data["coupon"] == str(one.coupon)
    assert "new" not in repr(one) and (one.title or "?") not in repr(one)
    [lease] = leases
    closed = await outbox(pool).claim(lease.day, [Range(lease.chunk, 0, lease.size)], ["web"])
    assert {c.registration for c in closed} == {"old", None}, "another platform's device takes over"


@pytest.mark.parametrize(
    ("done", "channel", "why"),
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
        ("UPDATE customer SET quiet_from = 0, quiet_until = 1439", "fcm", (Status.SUPPRESSED, "quiet_hours")),
    ],
)
async def test_a_claim_is_refused_for_what_changed_since(pool: Any, done: str, channel: str, why: Any) -> None:
    """Asked of the claim's own statement, for what a lease saw may be minutes old."""
    leases = await leased(pool)
    await change(pool, done)
    if channel == "fcm":
        claims = await claims_of(pool, leases)
        assert claims
        assert {refusal(claim, channel, Clock().now_ms()) for claim in claims} == {Refusal(*why)}
    else:
        assert await outbox(pool).deliver_inapp(10, Clock().now_ms(), refusal) == (1, [])
        rows = await pool.fetch("SELECT state, reason FROM message_state WHERE channel = 'inapp'")
        assert {tuple(row) for row in rows} == {(why[0].value, why[1])}


# ── outcomes ──


async def test_revoked_consent_suppresses_both_channels_and_gives_back(pool: Any) -> None:
    await pool.execute("UPDATE customer SET consents = 1 WHERE number = $1", number(0))
    now_ms = Clock().now_ms()
    assert await outbox(pool).deliver_inapp(10, now_ms, refusal) == (1, [number(1)])
    assert (await given_back(pool))["void"] == 0, "the push may still go out"
    mine = [claim for claim in await claimed(pool) if claim.customer == number(0)]
    why = refusal(mine[0], "fcm", now_ms)
    assert why is not None and why.status is Status.SUPPRESSED
    batch = ended(mine, why.status, why.reason)
    batch.finished.clear()
    await outbox(pool).record(batch)
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
    log.wait(60_000)
    log.pings([0], "one")
    step(fresh, log.entries, SNAPSHOTS)
    before = (fresh.caps.notes(0), fresh.blocks.spent(1))
    await settle(pool, await claimed(pool), Status.FAILED)
    await outbox(pool).deliver_inapp(10, Clock().now_ms(), hide_inapp)
    facts = [row["payload"] for row in await pool.fetch("SELECT payload FROM fact ORDER BY seq")]
    mine = next(payload for payload in facts if payload["number"] == number(0))
    result = step(fresh, [log.fact("outcome", **mine)], SNAPSHOTS)
    assert before == ([(1, mine["logged_ms"])], 1)
    assert (fresh.caps.notes(0), fresh.blocks.spent(1)) == ([], 0)
    assert result.refunds == [(UUID(mine["decision"]), 1)]


async def test_what_a_walk_gave_comes_back_to_the_books_only(pool: Any) -> None:
    """A start campaign is not the matcher's: its caps and blocks in memory are left alone, the refund is written."""
    await pool.execute("UPDATE decision SET position = 0")
    await settle(pool, await claimed(pool), Status.FAILED)
    await outbox(pool).deliver_inapp(10, Clock().now_ms(), hide_inapp)
    payload = await pool.fetchval("SELECT payload FROM fact ORDER BY seq LIMIT 1")
    fresh = state()
    result = step(fresh, [Log().fact("outcome", **payload)], SNAPSHOTS)
    assert result.refunds == [(UUID(payload["decision"]), 1)]
    assert fresh.blocks.spent(1) == 0


async def test_one_channel_that_went_out_keeps_the_coupon(pool: Any) -> None:
    await settle(pool, await claimed(pool), Status.FAILED)
    await outbox(pool).deliver_inapp(10, Clock().now_ms(), refusal)
    assert await given_back(pool) == {"void": 0, "facts": []}
    assert await states(pool) == {"fcm": ["failed"] * 2, "inapp": ["sent"] * 2}
    assert await pool.fetchval("SELECT count(*) FROM chunk") == 0, "what ended leaves no chunk"


async def test_an_unknown_outcome_keeps_the_coupon(pool: Any) -> None:
    """It may be on the phone."""
    await outbox(pool).deliver_inapp(10, Clock().now_ms(), hide_inapp)
    await settle(pool, await claimed(pool), Status.UNKNOWN)
    assert await given_back(pool) == {"void": 0, "facts": []}


async def test_two_channels_that_end_at_once_give_back_once(pool: Any) -> None:
    """Neither sees the other's end before it is committed, so the second waits for the first: else each would take the
    other's message for alive, and nobody would give back."""
    push = await claimed(pool, "a")
    batch = ended(push, Status.FAILED)
    async with pool.acquire() as connection, connection.transaction():
        await outbox(pool, "a")._write(connection, batch, {one.chunk for one in push})
        second = asyncio.create_task(outbox(pool, "b").deliver_inapp(10, Clock().now_ms(), hide_inapp))
        while not second.done() and not await _somebody_waits(pool):
            await asyncio.sleep(0.01)
    await second
    back = await given_back(pool)
    assert back["void"] == 2 and len(back["facts"]) == 2


async def _somebody_waits(pool: Any) -> bool:
    waits: bool = await pool.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
    return waits


async def test_a_redeemed_coupon_is_not_taken_back(pool: Any) -> None:
    claims = await claimed(pool)
    await pool.execute("UPDATE coupon SET state = 'redeemed', redeemed_at = now()")
    await settle(pool, claims, Status.FAILED)
    await outbox(pool).deliver_inapp(10, Clock().now_ms(), hide_inapp)
    assert await given_back(pool) == {"void": 0, "facts": []}


async def test_a_record_that_is_repeated_writes_nothing(pool: Any) -> None:
    """As after a commit whose answer was lost."""
    claims = await claimed(pool)
    await outbox(pool).deliver_inapp(10, Clock().now_ms(), hide_inapp)
    batch = ended(claims, Status.FAILED)
    batch.finished.clear()
    for _ in range(2):
        await outbox(pool).record(batch)
    assert len((await given_back(pool))["facts"]) == 2
    assert await pool.fetchval("SELECT count(*) FROM outcome") == 4


# ── senders that die, and those that only seemed to ──


async def test_what_a_dead_sender_passed_is_told_from_what_it_did_not_reach(pool: Any) -> None:
    [lease] = await leased(pool, "dead")
    await outbox(pool, "dead").claim(lease.day, [Range(lease.chunk, 0, 1)], ())
    assert await outbox(pool).release_abandoned() == 0, "the lease still runs"
    await pool.execute("UPDATE chunk SET leased_until = now() - interval '1 second' WHERE id = $1", lease.chunk)
    assert await outbox(pool).release_abandoned() == 1
    [again] = await leased(pool, "heir")
    assert (again.chunk, again.cursor, again.size) == (lease.chunk, 1, 2)
    assert await outbox(pool, "heir").left_behind([again]) == {lease.chunk: [1]}


async def test_what_was_recorded_is_not_left_behind(pool: Any) -> None:
    [lease] = await leased(pool, "dead")
    claims = await claims_of(pool, [lease], "dead")
    batch = ended(claims[:1], Status.SENT)
    batch.finished.clear()
    await outbox(pool, "dead").record(batch)
    await pool.execute("UPDATE chunk SET leased_until = now() - interval '1 second' WHERE id = $1", lease.chunk)
    await outbox(pool).release_abandoned()
    [again] = await leased(pool, "heir")
    assert await outbox(pool, "heir").left_behind([again]) == {lease.chunk: [2]}


async def test_a_sender_whose_lease_was_taken_over_writes_only_what_it_sent(pool: Any) -> None:
    [lease] = await leased(pool, "zombie")
    old = await claims_of(pool, [lease], "zombie")
    await pool.execute("UPDATE chunk SET leased_until = now() - interval '1 second' WHERE id = $1", lease.chunk)
    await outbox(pool, "heir").release_abandoned()
    [again] = await leased(pool, "heir")
    assert await outbox(pool, "zombie").claim(lease.day, [Range(lease.chunk, 0, 2)], ()) == []
    assert await outbox(pool, "zombie").record(ended(old[:1], Status.FAILED)) == {lease.chunk}
    waiting = [Waiting(o.day, o.chunk, o.seq, 0, 1, False, 0, "again", 0) for o in old]
    await outbox(pool, "zombie").record(Batch(waiting=waiting))
    assert (await states(pool))["fcm"] == ["leased"] * 2
    await outbox(pool, "zombie").record(ended(old[:1], Status.SENT))
    assert (await states(pool))["fcm"] == ["leased", "sent"], "that it was sent is true whoever holds the chunk"
    assert await outbox(pool, "heir").left_behind([again]) == {lease.chunk: [old[1].seq]}
    await settle(pool, await claims_of(pool, [again], "heir"), Status.UNKNOWN, "heir")
    assert (await states(pool))["fcm"] == ["sent", "unknown"], "the first outcome stands"


async def test_what_is_requeued_waits_for_its_time_under_its_own_id(pool: Any) -> None:
    claims = await claimed(pool)
    soon, late = claims
    now_ms = Clock().now_ms()
    waiting = [
        Waiting(soon.day, soon.chunk, soon.seq, now_ms - 500, 1, True, now_ms - 900, "503", now_ms),
        Waiting(late.day, late.chunk, late.seq, now_ms + 60_000, 0, False, 0, "429", now_ms),
    ]
    await outbox(pool).record(Batch(waiting=waiting, finished=[soon.chunk]))
    assert (await states(pool))["fcm"] == ["queued"] * 2
    back = await claimed(pool)
    assert [(one.id, one.attempts, one.ambiguous) for one in back] == [(soon.id, 1, True)]
    assert abs(back[0].first_tried_ms - (now_ms - 900)) <= 1, "the hour of trying runs from the first attempt"
    assert back[0].decision == soon.decision, "and so does the display tag"
    assert await pool.fetchval("SELECT count(DISTINCT id) FROM message_state WHERE channel = 'fcm'") == 2


async def test_chunks_given_back_are_as_before(pool: Any) -> None:
    [lease] = await leased(pool)
    await outbox(pool).claim(lease.day, [Range(lease.chunk, 0, 2)], ())
    await outbox(pool).release([(lease.chunk, 0, Clock().now_ms() - 1000)])
    [again] = await leased(pool, "b")
    assert (again.chunk, again.cursor) == (lease.chunk, 0), "nothing of it was written, and it says so"


# ── days ──


async def test_days_are_made_ahead_and_dropped_whole(pool: Any) -> None:
    await outbox(pool).ensure_days()
    await settle(pool, await claimed(pool), Status.SENT)
    await outbox(pool).deliver_inapp(10, Clock().now_ms(), refusal)
    assert await pool.fetchval("SELECT drop_outbox_days(current_date)") >= 0
    assert await pool.fetchval("SELECT count(*) FROM message") == 4, "today stays"
    assert await pool.fetchval("SELECT drop_outbox_days(current_date + 1)") == 1
    assert await pool.fetchval("SELECT count(*) FROM message") == 0


async def test_a_day_of_which_something_waits_is_not_dropped(pool: Any) -> None:
    await pool.fetchval("SELECT drop_outbox_days(current_date + 1)")
    assert await pool.fetchval("SELECT count(*) FROM message") == 4


async def test_a_day_without_a_partition_refuses_nothing(pool: Any) -> None:
    await pool.execute("INSERT INTO message (day, chunk, seq, id, customer, channel, expires_at)"
                       " VALUES ('2090-01-01', 99, 1, gen_random_uuid(), 1, 'fcm', now())")  # fmt: skip
    assert await pool.fetchval("SELECT outbox_days('2090-01-01', '2090-01-01')") == 0


# ── in-app ──


async def test_the_inbox_is_numbered_without_gaps_and_holds_a_message_once(pool: Any) -> None:
    woken = await asyncio.gather(*(outbox(pool, name).deliver_inapp(1, Clock().now_ms(), refusal) for name in "abc"))
    assert sorted(one for _, some in woken for one in some) == [number(0), number(1)]
    rows = await pool.fetch("SELECT customer, seq FROM inbox ORDER BY customer")
    assert [tuple(row) for row in rows] == [(number(0), 1), (number(1), 1)]
    assert await pool.fetchval("SELECT sum(inbox_seq) FROM customer") == 2


# ── what the provider says of registrations and payloads ──


async def test_a_registration_renewed_since_the_claim_is_spared(pool: Any) -> None:
    for row, name in ((0, "dead"), (1, "renewed")):
        await pool.execute(
            "INSERT INTO device (customer, name, platform, kind, registration) VALUES ($1, $2, 'ios', 'token', $2)",
            *(number(row), name),
        )
    claims = await claimed(pool)
    claimed_ms = Clock().now_ms() + 1
    await pool.execute("UPDATE device SET registered_at = now() + interval '1 second' WHERE name = 'renewed'")
    dead = [DeadDevice(one.device or 0, one.registration or "", "removed", claimed_ms) for one in claims]
    await outbox(pool).record(Batch(dead=dead))
    assert dict(await pool.fetch("SELECT name, state FROM device")) == {"dead": "removed", "renewed": "active"}


async def test_a_refused_payload_stops_its_campaign_once_and_every_partition_hears_of_it(pool: Any) -> None:
    assert await outbox(pool).stop_campaign(1)
    assert not await outbox(pool).stop_campaign(1)
    rows = await pool.fetch("SELECT p, payload FROM fact WHERE kind = 'stop' ORDER BY p")
    assert [(row["p"], row["payload"]) for row in rows] == [(p, {"campaign": 1}) for p in range(16)]
    assert [tuple(row) for row in await pool.fetch("SELECT verb, caller FROM campaign_audit")] == [("stop", "sender")]
