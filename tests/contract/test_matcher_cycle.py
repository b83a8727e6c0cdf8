"""Stepping beside committing and checkpointing: what is found meanwhile belongs to the next commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.matcher.state import State
from engine.postgres.pool import connect
from engine.settings import Settings
from tests.contract.matcher_rig import Owner, owner, rows
from tests.reference.matcher_world import P, number

SOON_S = 0.1


@pytest.fixture
async def one(furnished: Settings, tmp_path: Path) -> AsyncIterator[Owner]:
    """The owner of P; customers 0 and 1 stand on the street."""
    async with owner(furnished, tmp_path) as it:
        await it.take()
        await it.pings([0, 1], "street", it.began_ms - 60_000)
        await it.cycle.turn()
        yield it


@asynccontextmanager
async def commits_held(settings: Settings) -> AsyncIterator[None]:
    """Nobody's decision transaction gets beyond its first statement."""
    database = await connect(settings)
    try:
        async with database.transaction():
            await database.execute("SELECT FROM partition FOR UPDATE")
            yield
    finally:
        await database.close()


async def decided(settings: Settings) -> list[int]:
    return [customer for (customer,) in await rows(settings, "SELECT customer FROM decision ORDER BY 1")]


async def test_what_is_found_during_a_commit_is_committed_by_the_next(furnished: Settings, one: Owner) -> None:
    state = one.cycle.owned[P].state
    await one.pings([0], "one", one.began_ms + 5)
    async with commits_held(furnished):
        await one.cycle.match()
        first = state.position
        committing = asyncio.create_task(one.cycle.settle())
        await asyncio.sleep(SOON_S)
        assert not committing.done()
        await one.pings([1], "one", one.began_ms + 6)
        await one.cycle.match()
        assert state.position > first, "stepping goes on"
    await committing
    assert await decided(furnished) == [number(0)]
    assert await rows(furnished, f"SELECT position FROM partition WHERE p = {P}") == [(first,)]
    await one.cycle.settle()
    assert await decided(furnished) == [number(0), number(1)]
    assert one.cycle.owned[P].committed == state.position


async def test_a_partition_stands_still_while_it_is_checkpointed(one: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for entries that were being read when the checkpoint began: they are read again."""
    cycle, save = one.cycle, one.cycle._checkpoints.save
    seen: list[tuple[int, int]] = []

    async def disturbed(state: State, *more: Any) -> None:
        before = state.position
        await one.pings([0], "one", one.began_ms + 5)
        await asyncio.sleep(SOON_S)
        await cycle.match()
        seen.append((before, state.position))
        await save(state, *more)

    monkeypatch.setattr(cycle._checkpoints, "save", disturbed)
    reading = asyncio.create_task(cycle.match())
    await asyncio.sleep(SOON_S)
    await cycle.drain()
    await reading
    assert len(seen) == 1 and seen[0][0] == seen[0][1]
    await cycle.turn()
    assert cycle.owned[P].state.position > seen[0][1], "and goes on afterwards"


async def test_a_loop_that_fails_takes_the_other_with_it(one: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody expects ends the process; half a matcher would read and never commit."""

    async def broken() -> None:
        raise LookupError("not foreseen")

    monkeypatch.setattr(one.cycle, "settle", broken)
    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(5):
            await one.cycle.run(asyncio.Event())


async def test_a_step_in_pieces_is_committed_as_a_whole(
    furnished: Settings, one: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its midst nothing is committed, checkpointed or handed over, no more is read; a drain finishes it."""
    monkeypatch.setattr("engine.matcher.step.PIECE", 1)
    monkeypatch.setattr("offers.decide.MOST_EVENTS", 1)
    cycle, before = one.cycle, one.cycle.owned[P].committed
    await one.pings([0, 1], "one", one.began_ms + 5)
    await cycle.match()
    assert len(cycle._found[P].decisions) == 1, "the first of two customers is judged"
    await one.pings([1], "street", one.began_ms + 6)
    cycle._checkpointed_at[P], cycle.leaving = 0.0, {P}
    await cycle.settle()
    await cycle.flush([P])
    assert await decided(furnished) == [] and cycle.owned[P].committed == before
    await cycle.drain()
    assert await decided(furnished) == [number(0), number(1)]
    assert cycle.owned[P].committed == cycle.owned[P].state.position > before


async def test_a_partition_dropped_in_the_midst_of_a_step_is_left_alone(
    furnished: Settings, one: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.matcher.step.PIECE", 1)
    monkeypatch.setattr("offers.decide.MOST_EVENTS", 1)
    await one.pings([0, 1], "one", one.began_ms + 5)
    await one.cycle.match()
    one.cycle.drop({P}, "as another owner came")
    monkeypatch.undo()
    await one.take()
    await one.cycle.turn()
    await one.cycle.flush([P])
    assert await decided(furnished) == [number(0), number(1)], "what was found before is found again, once"
