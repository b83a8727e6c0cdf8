"""Owners of one partition on real servers: replaced, cut off in mid-commit, come back, found without a log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import Zombie
from engine.log.entries import EntryKind
from engine.log.keys import head_key, log_key, meta_key
from engine.log.stream import OwnEntry
from engine.matcher.checkpoint import Checkpoints
from engine.settings import Settings
from tests.contract.matcher_rig import Owner, Scissors, furnish, owner, rows
from tests.reference.matcher_world import P, number

WRITTEN = {
    "decisions": "SELECT customer, campaign, trigger FROM decision ORDER BY 1",
    "coupons": "SELECT customer FROM coupon ORDER BY 1",
    "debits": "SELECT p, kind FROM budget_ledger",
    "spent": f"SELECT spent FROM budget_block WHERE campaign = 1 AND p = {P}",
    "tally": "SELECT name, n FROM tally WHERE campaign = 1 ORDER BY 1",
    "messages": "SELECT channel FROM message ORDER BY 1",
}
ONE_COUPON = {
    "decisions": [(number(0), 1, "enter")],
    "coupons": [(number(0),)],
    "debits": [(P, "debit")],
    "spent": [(1,)],
    "tally": [("decision", 1)],
    "messages": [("fcm",), ("inapp",)],
}


@pytest.fixture
async def world(settings: Settings) -> Settings:
    await furnish(settings)
    return settings


@pytest.fixture
async def pair(world: Settings, tmp_path: Path) -> AsyncIterator[tuple[Owner, Owner]]:
    """Two matchers; neither owns anything yet."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(owner(world, tmp_path))
        yield first, await stack.enter_async_context(owner(world, tmp_path))


async def written(settings: Settings) -> dict[str, list[tuple[object, ...]]]:
    """All that a decision writes."""
    return {name: await rows(settings, sql) for name, sql in WRITTEN.items()}


async def position(settings: Settings) -> int:
    found: int = (await rows(settings, f"SELECT position FROM partition WHERE p = {P}"))[0][0]
    return found


async def arrive(one: Owner) -> None:
    """Customer 0 walks from the street to store 1; both reports are in the log."""
    await one.pings([0], "street", one.began_ms)
    await one.pings([0], "one", one.began_ms + 5)


async def test_a_ping_becomes_a_coupon(world: Settings, pair: tuple[Owner, Owner]) -> None:
    await pair[0].take()
    await arrive(pair[0])
    await pair[0].cycle.turn()
    assert await written(world) == ONE_COUPON


async def test_an_owner_that_was_replaced_writes_nothing(world: Settings, pair: tuple[Owner, Owner]) -> None:
    zombie, heir = pair
    await zombie.take()
    await heir.take()
    await arrive(heir)
    before = await position(world)
    await zombie.cycle.turn()
    assert P not in zombie.cycle.owned, "it noticed"
    assert await position(world) == before
    assert (await written(world))["decisions"] == []
    await heir.cycle.turn()
    assert await written(world) == ONE_COUPON


async def test_an_owner_that_was_replaced_before_any_decision_does_not_move_the_position(
    world: Settings, pair: tuple[Owner, Owner]
) -> None:
    """Its position is the committed one, so only the epoch tells the two apart."""
    zombie, heir = pair
    await zombie.take()
    await heir.take()
    await heir.pings([0], "street", heir.began_ms)
    await zombie.cycle.turn()
    before = await position(world)
    await zombie.cycle.flush([P])
    assert P not in zombie.cycle.owned
    assert await position(world) == before


async def test_an_owner_that_was_replaced_cannot_checkpoint(world: Settings, pair: tuple[Owner, Owner]) -> None:
    zombie, heir = pair
    old = await zombie.take()
    await heir.take()
    await arrive(heir)
    await heir.cycle.turn()
    entries = await heir.client.xlen(log_key(P))
    with pytest.raises(Zombie):
        await Checkpoints(zombie.client).save(old.state, old.epoch, old.log_epoch)
    assert await heir.client.xlen(log_key(P)) == entries, "nothing was trimmed"
    assert b"position" not in await heir.client.hgetall(head_key(P))


async def test_every_takeover_raises_the_epoch(pair: tuple[Owner, Owner]) -> None:
    epochs = [(await one.recovery.take_over(P)).epoch for one in (*pair, *pair)]
    assert epochs == sorted(set(epochs))


async def test_a_later_owner_shuts_earlier_ones_out_of_the_checkpoint(pair: tuple[Owner, Owner]) -> None:
    checkpoints = Checkpoints(pair[0].client)
    await checkpoints.claim(P, 7)
    await checkpoints.claim(P, 7)
    with pytest.raises(Zombie):
        await checkpoints.claim(P, 6)


async def test_the_wire_is_cut_in_mid_commit(world: Settings, tmp_path: Path) -> None:
    """The decision is committed, its owner never hears of it: the position tells, and nothing is decided again."""
    scissors = Scissors(world)
    async with scissors as url, owner(replace(world, database_url=url), tmp_path) as one:
        await one.take()
        await arrive(one)
        scissors.armed = True
        await one.cycle.turn()
        assert (scissors.cuts, P in one.cycle.owned) == (1, False)
        assert await written(world) == ONE_COUPON, "it is committed"
        again = await one.take()
        assert again.state.position == again.committed == await position(world)
        await one.pings([0], "one", one.began_ms + 10)
        await one.cycle.turn()
        await one.cycle.flush([P])
        assert await written(world) == ONE_COUPON


async def test_what_was_not_committed_is_decided_by_the_next_owner(world: Settings, pair: tuple[Owner, Owner]) -> None:
    """Checkpointed on the street, entered the shop, died: presence comes back, and the arrival counts."""
    first, second = pair
    await first.take()
    await first.pings([0], "street", first.began_ms)
    await first.cycle.turn()
    await first.cycle.drain()
    await first.pings([0], "one", first.began_ms + 5)
    owned = await second.take()
    assert owned.state.presence.position(0) is not None, "the checkpoint was read"
    await second.cycle.turn()
    assert await written(world) == ONE_COUPON


async def test_a_takeover_replays_what_is_committed_but_not_checkpointed(
    world: Settings, pair: tuple[Owner, Owner]
) -> None:
    first, second = pair
    await first.take()
    await arrive(first)
    await first.cycle.turn()
    owned = await second.take()
    assert [visit.since_ms for visit in owned.state.presence.visits(0)] == [first.began_ms + 5]
    await second.pings([0], "one", second.began_ms + 10)
    await second.cycle.turn()
    await second.cycle.flush([P])
    assert await written(world) == ONE_COUPON


async def test_a_lost_log_is_noticed_and_reports_that_come_again_double_nothing(
    world: Settings, pair: tuple[Owner, Owner]
) -> None:
    one = pair[0]
    await one.take()
    await arrive(one)
    await one.cycle.turn()
    old = one.cycle.owned[P]
    await one.client.delete(log_key(P), meta_key(P), head_key(P))
    assert await one.stream.append([OwnEntry(P, old.log_epoch, EntryKind.TICK)]) == [P], "its log is gone"
    one.cycle.drop({P}, "test")
    new = await one.take()
    assert new.log_epoch != old.log_epoch
    assert new.state.reset_until_ms > one.began_ms
    await arrive(one)  # the phone repeats what it was not sure of
    await one.cycle.turn()
    await one.cycle.flush([P])
    found = await written(world)
    assert [found[name] for name in ("decisions", "coupons", "spent")] == [
        ONE_COUPON[name] for name in ("decisions", "coupons", "spent")
    ]


async def test_a_lost_log_and_lost_caps_still_double_nothing(world: Settings, pair: tuple[Owner, Owner]) -> None:
    """Only the ids stand between a report that comes again and a second coupon: the memory of the cap is wiped."""
    one = pair[0]
    await one.take()
    await arrive(one)
    await one.cycle.turn()
    await one.client.delete(log_key(P), meta_key(P), head_key(P))
    one.cycle.drop({P}, "test")
    owned = await one.take()
    owned.state.caps.forget(0)
    await arrive(one)
    await one.cycle.turn()
    await one.cycle.flush([P])
    found = await written(world)
    assert {name: found[name] for name in found if name != "tally"} == {
        name: ONE_COUPON[name] for name in found if name != "tally"
    }
    assert ("decision.repeated", 1) in found["tally"]
    assert owned.state.blocks.spent(1) == 1, "the coupon that was not written is not spent"


async def test_a_live_campaign_has_its_block_before_the_first_customer_comes(
    world: Settings, pair: tuple[Owner, Owner]
) -> None:
    one = pair[0]
    await one.pool.execute("DELETE FROM budget_block")
    await one.pool.execute("UPDATE budget SET leased = 0")
    await one.take()
    await arrive(one)
    await one.cycle.turn()
    assert (await written(world))["decisions"] == ONE_COUPON["decisions"]
    leased = await rows(world, "SELECT leased, granted FROM budget JOIN budget_block USING (campaign)")
    assert leased == [(1_000 // 64, 1_000 // 64)]


async def test_a_paused_owner_does_not_hold_its_rows_for_long(pair: tuple[Owner, Owner]) -> None:
    """A process stopped in mid-transaction keeps its locks until the server ends its session."""
    assert await pair[0].pool.fetchval("SHOW idle_in_transaction_session_timeout") == "5s"


async def test_a_log_with_a_hole_behind_the_checkpoint_counts_as_lost(
    world: Settings, pair: tuple[Owner, Owner]
) -> None:
    """The entries up to the committed position are trimmed, and the checkpoint that stood for them is gone."""
    one = pair[0]
    await one.take()
    await arrive(one)
    await one.cycle.turn()
    await one.cycle.drain()
    assert (await pair[1].take()).state.reset_until_ms == 0, "with its checkpoint it is whole"
    await one.client.hdel(head_key(P), "position")
    assert (await pair[0].recovery.take_over(P)).state.reset_until_ms > one.began_ms
