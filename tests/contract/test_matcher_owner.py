"""Owners of one partition on real servers: replaced, cut off in mid-commit, come back, found without a log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Zombie
from engine.log.entries import EntryKind, Switch
from engine.log.keys import head_key, log_key, meta_key
from engine.log.stream import OwnEntry
from engine.matcher.checkpoint import Checkpoints
from engine.matcher.grants import lease
from engine.matcher.recover import Owned
from engine.postgres.pool import connect
from engine.settings import Settings
from tests.contract.matcher_rig import Owner, Scissors, owner
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
Pair = tuple[Owner, Owner]


@dataclass
class Books:
    """What the database says, to a session that no owner uses."""

    session: Any

    async def rows(self, sql: str) -> list[tuple[object, ...]]:
        return [tuple(row) for row in await self.session.fetch(sql)]

    async def written(self) -> dict[str, list[tuple[object, ...]]]:
        """All that a decision writes."""
        return {name: await self.rows(sql) for name, sql in WRITTEN.items()}

    async def position(self) -> int:
        found: int = await self.session.fetchval("SELECT position FROM partition WHERE p = $1", P)
        return found


@pytest.fixture
async def books(furnished: Settings) -> AsyncIterator[Books]:
    session = await connect(furnished)
    yield Books(session)
    await session.close()


@pytest.fixture
async def one(furnished: Settings, tmp_path: Path) -> AsyncIterator[Owner]:
    """A matcher that owns nothing yet."""
    async with owner(furnished, tmp_path) as first:
        yield first


@pytest.fixture
async def pair(one: Owner, furnished: Settings, tmp_path: Path) -> AsyncIterator[Pair]:
    """Two of them."""
    async with owner(furnished, tmp_path) as second:
        yield one, second


@pytest.fixture
async def replaced(pair: Pair) -> Pair:
    """The first owned P until the second took it, and does not know."""
    for each in pair:
        await each.take()
    return pair


async def arrive(one: Owner) -> None:
    """Customer 0 walks from the street to store 1; both reports are in the log."""
    await one.pings([0], "street", one.began_ms - 60_000)
    await one.pings([0], "one", one.began_ms + 5)


async def decide(one: Owner) -> Owned:
    """It owns P, customer 0 arrived, and the coupon is committed."""
    owned = await one.take()
    await arrive(one)
    await one.cycle.turn()
    return owned


async def catch_up(one: Owner) -> None:
    """Match what is in the log and commit it, whether anybody waits for it or not."""
    await one.cycle.turn()
    await one.cycle.flush([P])


async def lose_the_log(one: Owner) -> Owned:
    """Valkey forgets everything of P; the owner notices, and owns P anew."""
    epoch = one.cycle.owned[P].log_epoch
    await one.client.delete(log_key(P), meta_key(P), head_key(P))
    assert await one.stream.append([OwnEntry(P, epoch, EntryKind.TICK)]) == [P], "its log is gone"
    one.cycle.drop({P}, "test")
    return await one.take()


async def test_a_ping_becomes_a_coupon(books: Books, one: Owner) -> None:
    await decide(one)
    assert await books.written() == ONE_COUPON


# ── replaced ──


async def test_an_owner_that_was_replaced_writes_nothing(books: Books, replaced: Pair) -> None:
    zombie, heir = replaced
    await arrive(heir)
    before = await books.position()
    await zombie.cycle.turn()
    assert P not in zombie.cycle.owned, "it noticed"
    assert await books.position() == before
    assert (await books.written())["decisions"] == []
    await heir.cycle.turn()
    assert await books.written() == ONE_COUPON


async def test_an_owner_that_was_replaced_before_any_decision_does_not_move_the_position(
    books: Books, replaced: Pair
) -> None:
    """Its position is the committed one, so only the epoch tells the two apart."""
    zombie, heir = replaced
    await heir.pings([0], "street", heir.began_ms - 60_000)
    await zombie.cycle.turn()
    before = await books.position()
    await zombie.cycle.flush([P])
    assert P not in zombie.cycle.owned
    assert await books.position() == before


async def test_an_owner_that_was_replaced_cannot_checkpoint(replaced: Pair) -> None:
    zombie, heir = replaced
    old = zombie.cycle.owned[P]
    await arrive(heir)
    await heir.cycle.turn()
    entries = await heir.client.xlen(log_key(P))
    with pytest.raises(Zombie):
        await Checkpoints(zombie.client).save(old.state, old.epoch, old.log_epoch)
    assert await heir.client.xlen(log_key(P)) == entries, "nothing was trimmed"
    assert await heir.client.hget(head_key(P), "position") == b"0", "the first owner's, of the empty log"


async def test_every_takeover_raises_the_epoch(pair: Pair) -> None:
    epochs = [(await each.recovery.take_over(P)).epoch for each in (*pair, *pair)]
    assert epochs == sorted(set(epochs))


async def test_a_later_owner_shuts_earlier_ones_out_of_the_checkpoint(one: Owner) -> None:
    checkpoints = Checkpoints(one.client)
    await checkpoints.claim(P, 7)
    await checkpoints.claim(P, 7)
    with pytest.raises(Zombie):
        await checkpoints.claim(P, 6)


async def test_a_paused_owner_does_not_hold_its_rows_for_long(one: Owner) -> None:
    """A process stopped in mid-transaction keeps its locks until the server ends its session."""
    assert await one.pool.fetchval("SHOW idle_in_transaction_session_timeout") == "5s"


# ── what the next owner finds ──


async def test_the_wire_is_cut_in_mid_commit(books: Books, furnished: Settings, tmp_path: Path) -> None:
    """The decision is committed, its owner never hears of it: the position tells, and nothing is decided again."""
    scissors = Scissors(furnished)
    async with scissors as url, owner(replace(furnished, database_url=url), tmp_path) as one:
        await one.take()
        await arrive(one)
        scissors.armed = True
        await one.cycle.turn()
        assert (scissors.cuts, P in one.cycle.owned) == (1, False)
        assert await books.written() == ONE_COUPON, "it is committed"
        again = await one.take()
        assert again.state.position == again.committed == await books.position()
        await one.pings([0], "one", one.began_ms + 10)
        await catch_up(one)
        assert await books.written() == ONE_COUPON


async def test_what_was_not_committed_is_decided_by_the_next_owner(books: Books, pair: Pair) -> None:
    """Checkpointed on the street, entered the shop, died: presence comes back, and the arrival counts."""
    first, second = pair
    await first.take()
    await first.pings([0], "street", first.began_ms - 60_000)
    await first.cycle.turn()
    await first.cycle.drain()
    await first.pings([0], "one", first.began_ms + 5)
    owned = await second.take()
    assert owned.state.presence.position(0) is not None, "the checkpoint was read"
    await second.cycle.turn()
    assert await books.written() == ONE_COUPON


async def test_a_takeover_replays_what_is_committed_but_not_checkpointed(books: Books, pair: Pair) -> None:
    first, second = pair
    await decide(first)
    owned = await second.take()
    assert [visit.since_ms for visit in owned.state.presence.visits(0)] == [first.began_ms + 5]
    await second.pings([0], "one", second.began_ms + 10)
    await catch_up(second)
    assert await books.written() == ONE_COUPON


async def test_a_new_owner_takes_every_snapshot_that_the_log_names(books: Books, pair: Pair) -> None:
    """Not decided yet: a switch that makes campaign 5 live, a ping, and the switch that ends it. Only the last of the
    snapshots is the newest."""
    first, second = pair
    epoch = (await first.take()).log_epoch
    for state in ("live", "ended"):
        await first.pool.execute("UPDATE campaign SET state = $1 WHERE id = 5", state)
        await first.snapshots.compile_if_changed()
        revision = await first.snapshots.refresh()
        await first.stream.append([OwnEntry(P, epoch, EntryKind.SWITCH, Switch(revision))])
        if state == "live":
            await first.pings([0], "two", first.began_ms)
    owned = await second.take()
    assert revision - 1 not in second.snapshots.loaded
    await second.cycle.turn()
    assert owned.state.revision == revision
    assert (await books.written())["decisions"] == [(number(0), 5, "enter")]


async def test_a_live_campaign_has_its_block_before_the_first_customer_comes(books: Books, one: Owner) -> None:
    await one.pool.execute("DELETE FROM budget_block")
    await one.pool.execute("UPDATE budget SET leased = 0")
    await decide(one)
    assert (await books.written())["decisions"] == ONE_COUPON["decisions"]
    leased = await books.rows("SELECT leased, granted FROM budget JOIN budget_block USING (campaign)")
    assert leased == [(1_000 // 64, 1_000 // 64)]


async def test_what_was_set_aside_is_given_without_a_lease_and_has_its_row_with_the_first_coupon(
    books: Books, one: Owner, pair: Pair
) -> None:
    """And whoever takes over later knows both what was set aside and what is spent of it."""
    await one.pool.execute("DELETE FROM budget_block")
    await one.pool.execute("UPDATE budget SET first = 15, leased = 15 * 16")
    await one.pool.execute("UPDATE campaign SET version = version + 1 WHERE state = 'live'")
    await one.snapshots.compile_if_changed()
    owned = await one.take()
    assert await books.rows("SELECT count(*) FROM budget_block") == [(0,)]
    assert (owned.state.blocks.left(1), owned.state.blocks.unwritten) == (15, {1})
    await arrive(one)
    await one.cycle.turn()
    assert (await books.written())["decisions"] == ONE_COUPON["decisions"]
    block = "SELECT leased, granted, spent FROM budget JOIN budget_block USING (campaign)"
    assert await books.rows(block) == [(240, 15, 1)]
    assert owned.state.blocks.unwritten == set()
    taken = await pair[1].take()
    assert (taken.state.blocks.left(1), taken.state.blocks.spent(1)) == (14, 1)
    # A lease adds to it, and counts what was set aside once.
    await lease(one.pool, P, [1], starving=False)
    assert await books.rows(block) == [(255, 30, 1)]


# ── without a log ──


async def test_a_lost_log_is_noticed_and_reports_that_come_again_double_nothing(books: Books, one: Owner) -> None:
    old = await decide(one)
    new = await lose_the_log(one)
    assert new.log_epoch != old.log_epoch
    assert new.state.reset_until_ms > one.began_ms
    await arrive(one)  # the phone repeats what it was not sure of
    await catch_up(one)
    found = await books.written()
    for name in ("decisions", "coupons", "spent"):
        assert found[name] == ONE_COUPON[name], name


async def test_a_lost_log_and_lost_caps_still_double_nothing(books: Books, one: Owner) -> None:
    """Only the ids stand between a report that comes again and a second coupon: the memory of the cap is wiped."""
    await decide(one)
    owned = await lose_the_log(one)
    owned.state.caps.forget(0)
    await arrive(one)
    await catch_up(one)
    found = await books.written()
    assert ("decision.repeated", 1) in found.pop("tally")
    assert found == {name: ONE_COUPON[name] for name in found}
    assert owned.state.blocks.spent(1) == 1, "the coupon that was not written is not spent"


async def test_a_log_with_a_hole_behind_the_checkpoint_counts_as_lost(pair: Pair) -> None:
    """The entries up to the committed position are trimmed, and the checkpoint that stood for them is gone."""
    first, second = pair
    await decide(first)
    await first.cycle.drain()
    assert (await second.take()).state.reset_until_ms == 0, "with its checkpoint it is whole"
    await first.client.hdel(head_key(P), "position")
    assert (await first.recovery.take_over(P)).state.reset_until_ms > first.began_ms
