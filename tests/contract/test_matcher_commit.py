"""The decision transaction on a real PostgreSQL: positions first, everything or nothing, nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from engine.matcher.commit import NotMine, Share, commit
from engine.matcher.decision import Decision, StepResult
from engine.matcher.step import step
from engine.postgres import queries
from engine.postgres.pool import ENGINE, connect
from engine.settings import Settings
from offers.coupon import code, code_hash
from tests.contract.matcher_rig import KEY
from tests.reference.matcher_world import GRANTED, SNAPSHOTS, Log, P, number, state

OTHER = 9
"""A partition in which nothing happens."""
EVERYTHING = {
    "positions": "SELECT p, epoch, position, fact_seq FROM partition ORDER BY p",
    "decisions": "SELECT id, position, refunded FROM decision ORDER BY id",
    "coupons": "SELECT id, state FROM coupon ORDER BY id",
    "ledger": "SELECT decision, kind FROM budget_ledger ORDER BY 1, 2",
    "blocks": "SELECT campaign, p, granted, spent FROM budget_block ORDER BY 1, 2",
    "budgets": "SELECT campaign, leased FROM budget ORDER BY 1",
    "messages": "SELECT id FROM message ORDER BY 1",
    "tally": "SELECT p, campaign, name, n FROM tally ORDER BY 1, 2, 3",
}


@pytest.fixture
async def database(furnished: Settings) -> AsyncIterator[Any]:
    """A session like a matcher's, in the furnished world."""
    session = await connect(furnished, ENGINE)
    yield session
    await session.close()


async def seen(database: Any) -> dict[str, list[Any]]:
    """All that a commit may write."""
    return {name: [tuple(row) for row in await database.fetch(sql)] for name, sql in EVERYTHING.items()}


async def took_over(database: Any, p: int = P) -> int:
    """The epoch of a new owner."""
    row = await queries.matcher.take_over(database, p=p)
    epoch: int = row["epoch"]
    return epoch


def arrivals(rows: tuple[int, ...] = (0, 1), later_ms: int = 0) -> StepResult:
    """What `step` finds when customers walk in at store 1 and the reports reach the log so much later."""
    log = Log()
    log.wait(later_ms)
    log.pings(rows, "street", age_ms=later_ms + 60_000)
    log.pings(rows, "one", age_ms=later_ms)
    return step(state(), log.entries, SNAPSHOTS)


def share(result: StepResult, epoch: int, position: int = 0, becomes: int = 100) -> Share:
    return Share(P, epoch, position, becomes, 4, result)


async def test_a_decision_is_written_with_all_that_hangs_on_it(database: Any) -> None:
    result = arrivals()
    assert len(result.decisions) == 2
    assert await commit(database, [share(result, await took_over(database))], KEY) == frozenset()
    found = await seen(database)
    assert found["positions"][P] == (P, 1, 100, 4)
    assert {row[0] for row in found["decisions"]} == {d.id for d in result.decisions}
    assert {row[0] for row in found["coupons"]} == {d.coupon for d in result.decisions}
    assert (1, P, GRANTED[1], 2) in found["blocks"]
    assert len(found["ledger"]) == 2 and len(found["messages"]) == 4, "push and in-app each"
    assert (P, 1, "decision", 2) in found["tally"]


async def test_what_is_stored_of_a_decision(database: Any) -> None:
    decision = arrivals((0,)).decisions[0]
    await commit(database, [share(arrivals((0,)), await took_over(database))], KEY)
    row = await database.fetchrow(
        "SELECT d.*, k.code_hash, k.offer, k.valid_until FROM decision d JOIN coupon k ON k.decision = d.id"
    )
    assert row["code_hash"] == code_hash(code(KEY, decision.coupon)), "the code itself is not in the database"
    assert row["logged_at"].timestamp() * 1000 == pytest.approx(decision.logged_ms)
    assert row["event_at"].timestamp() * 1000 == pytest.approx(decision.event_at_ms)
    assert row["valid_until"].timestamp() * 1000 == pytest.approx(decision.logged_ms + 3_600_000)
    assert (row["customer"], row["campaign"], row["store"], row["trigger"]) == (number(0), 1, 1, "enter")
    assert row["held"] == [{"campaign": 4, "reason": "not_in_audience", "store": 1}]
    assert row["offer"]["percent"] == 10


async def test_only_consented_channels_get_a_message(database: Any) -> None:
    result = arrivals()
    first, second = (replace(d, consents=bits) for d, bits in zip(result.decisions, (7, 11), strict=True))
    result.decisions[:] = [first, second]
    await commit(database, [share(result, await took_over(database))], KEY)
    rows = await database.fetch("SELECT decision, channel FROM message")
    assert {row["decision"]: row["channel"] for row in rows} == {first.id: "fcm", second.id: "inapp"}
    assert len(rows) == 2


# ── the position check and the fencing ──


async def test_a_commit_that_is_repeated_writes_nothing(database: Any) -> None:
    """Its answer was lost, and it is sent again as it was: everything would count twice, ids or no ids."""
    result = arrivals()
    result.returned[3] = 1
    mine = share(result, await took_over(database))
    await commit(database, [mine], KEY)
    before = await seen(database)
    with pytest.raises(NotMine) as refused:
        await commit(database, [mine], KEY)
    assert refused.value.partitions == {P}
    assert await seen(database) == before


async def test_a_commit_from_an_old_position_writes_nothing(database: Any) -> None:
    """The epoch is right, the state is not: it has not seen what its own process committed before."""
    epoch = await took_over(database)
    await commit(database, [share(StepResult(), epoch, 0, 100)], KEY)
    before = await seen(database)
    with pytest.raises(NotMine):
        await commit(database, [share(arrivals(), epoch, 50, 150)], KEY)
    assert await seen(database) == before


async def test_a_zombies_commit_writes_nothing(database: Any) -> None:
    """Both owners stand at the same position; the epoch alone tells which of them may write."""
    zombie = await took_over(database)
    heir = await took_over(database)
    before = await seen(database)
    with pytest.raises(NotMine):
        await commit(database, [share(arrivals(), zombie)], KEY)
    assert await seen(database) == before
    await commit(database, [share(arrivals(), heir)], KEY)
    assert len((await seen(database))["decisions"]) == 2


async def test_two_owners_at_once_write_once(furnished: Settings, database: Any) -> None:
    """The same owner twice (a commit repeated while the first still runs): one of them moves the position."""
    epoch = await took_over(database)
    other = await connect(furnished, ENGINE)
    try:
        told = await asyncio.gather(
            *(commit(session, [share(arrivals(), epoch)], KEY) for session in (database, other)), return_exceptions=True
        )
    finally:
        await other.close()
    assert sorted(type(one).__name__ for one in told) == ["NotMine", "frozenset"]
    assert (P, 1, "decision", 2) in (await seen(database))["tally"]


async def test_a_lost_partition_takes_its_whole_transaction_with_it_and_no_more(database: Any) -> None:
    """The owner is told which one it lost, and commits the others."""
    lost = Share(
        OTHER, await took_over(database, OTHER), 0, 7, 0, StepResult(counted=Counter({(0, "ping.accepted"): 3}))
    )
    await took_over(database, OTHER)
    kept = share(arrivals(), await took_over(database))
    before = await seen(database)
    with pytest.raises(NotMine) as refused:
        await commit(database, [kept, lost], KEY)
    assert refused.value.partitions == {OTHER}
    assert await seen(database) == before
    await commit(database, [kept], KEY)
    assert len((await seen(database))["decisions"]) == 2


# ── the ids ──


async def test_a_decision_made_again_is_written_once(database: Any) -> None:
    """Another owner reads the same reports from another log: other positions, the same ids."""
    await commit(database, [share(arrivals(), await took_over(database))], KEY)
    before = await seen(database)
    again = arrivals(later_ms=7_000)
    assert again.decisions[0].position != arrivals().decisions[0].position
    ids = {decision.id for decision in again.decisions}
    repeated = await commit(database, [share(again, await took_over(database), 100, 200)], KEY)
    assert repeated == ids
    after = await seen(database)
    for name in ("decisions", "coupons", "ledger", "blocks", "messages"):
        assert after[name] == before[name], name


async def test_an_occasion_is_answered_once_whatever_the_decisions_id(database: Any) -> None:
    """The constraint is the judge, should two events ever name one visit."""
    await commit(database, [share(arrivals(), await took_over(database))], KEY)
    before = await seen(database)
    other = arrivals()
    other.decisions[:] = [replace(decision, id=uuid4()) for decision in other.decisions]
    repeated = await commit(database, [share(other, await took_over(database), 100, 200)], KEY)
    assert repeated == {decision.id for decision in other.decisions}
    after = await seen(database)
    for name in ("decisions", "coupons", "ledger", "blocks", "messages"):
        assert after[name] == before[name], name


async def test_one_event_is_decided_once_whatever_its_occasion(database: Any) -> None:
    await commit(database, [share(arrivals((0,)), await took_over(database))], KEY)
    other = arrivals((0,))
    other.decisions[:] = [replace(decision, occasion=uuid4()) for decision in other.decisions]
    assert len(await commit(database, [share(other, await took_over(database), 100, 200)], KEY)) == 1
    assert len((await seen(database))["coupons"]) == 1


async def test_two_decisions_of_one_event_in_one_commit_are_one(database: Any) -> None:
    result = arrivals((0,))
    result.decisions.append(result.decisions[0])
    await commit(database, [share(result, await took_over(database))], KEY)
    found = await seen(database)
    assert len(found["coupons"]) == 1 and (1, P, GRANTED[1], 1) in found["blocks"]


# ── money ──


async def test_a_block_is_never_overspent(database: Any) -> None:
    """Should the memory ever be wrong, the constraint refuses, and with it the whole commit."""
    await database.execute("UPDATE budget_block SET granted = 1 WHERE campaign = 1")
    epoch = await took_over(database)
    before = await seen(database)
    with pytest.raises(asyncpg.CheckViolationError, match="never_more_spent_than_granted"):
        await commit(database, [share(arrivals(), epoch)], KEY)
    assert await seen(database) == before


async def test_a_refund_counts_once(database: Any) -> None:
    result = arrivals()
    epoch = await took_over(database)
    await commit(database, [share(result, epoch)], KEY)
    gone: tuple[UUID, int] = (result.decisions[0].id, 1)
    await commit(database, [share(StepResult(refunds=[gone]), epoch, 100, 200)], KEY)
    await commit(database, [share(StepResult(refunds=[gone]), epoch, 200, 300)], KEY)
    found = await seen(database)
    assert (1, P, GRANTED[1], 1) in found["blocks"]
    assert [row for row in found["ledger"] if row[1] == "refund"] == [(gone[0], "refund")]
    assert {row[0]: row[2] for row in found["decisions"]}[gone[0]] is True


async def test_returned_coupons_leave_block_and_budget(database: Any) -> None:
    await commit(database, [share(StepResult(returned=Counter({3: 2})), await took_over(database))], KEY)
    found = await seen(database)
    assert (3, P, GRANTED[3] - 2, 0) in found["blocks"]
    assert (3, GRANTED[3] - 2) in found["budgets"]


async def test_counts_add_up(database: Any) -> None:
    epoch = await took_over(database)
    counted = Counter({(0, "ping.accepted"): 5, (1, "reason.cap_reached"): 2})
    await commit(database, [share(StepResult(counted=counted), epoch)], KEY)
    await commit(database, [share(StepResult(counted=counted), epoch, 100, 200)], KEY)
    assert (await seen(database))["tally"] == [(P, 0, "ping.accepted", 10), (P, 1, "reason.cap_reached", 4)]


def test_a_decision_knows_its_coupon_by_itself() -> None:
    first, second = (arrivals((0,)).decisions[0] for _ in range(2))
    assert first == second and first.coupon == second.coupon != first.id
    assert isinstance(first, Decision)
