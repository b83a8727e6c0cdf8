"""kill -9 of every part in mid-run: nothing acknowledged is lost, nothing is doubled."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.acceptance.traffic import Acknowledged, flowing
from tests.acceptance.verdict import judge
from tests.acceptance.world import PARTITIONS, World, running

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="the servers' death signals are Linux's"),
]

PEOPLE = 400
MOVED_S = 15.0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world() -> AsyncIterator[World]:
    async with running() as one:
        yield one


@pytest.fixture(scope="module")
def promised() -> Acknowledged:
    return Acknowledged()


@pytest.mark.parametrize("name", ["matcher", "api", "valkey", "postgres"])
async def test_kill_9(world: World, promised: Acknowledged, name: str) -> None:
    async with flowing(world, promised, PEOPLE) as traffic:
        before = world.stack.kill(name, signal.SIGKILL)
        await world.back(name, before)
        await traffic.some(12)
    await world.shared_by(2)
    await judge(world, promised)


async def test_kill_9_of_the_sender(world: World, promised: Acknowledged) -> None:
    """What it held is taken over when its lease ends: sent again under the same tag, or found sent."""
    async with flowing(world, promised, PEOPLE) as traffic:
        before = world.stack.kill("sender", signal.SIGKILL)
        await world.back("sender", before)
        await traffic.some(12)
    await judge(world, promised, repeats=True)


async def test_a_paused_matcher_is_replaced_and_writes_nothing_when_it_wakes(
    world: World, promised: Acknowledged
) -> None:
    await world.shared_by(2)
    async with flowing(world, promised, PEOPLE) as traffic:
        world.stack.kill("matcher", signal.SIGSTOP)

        async def moved() -> bool:
            owners = await world.owned_by()
            return len(owners) == PARTITIONS and len(set(owners.values())) == 1

        await world.until(moved, "the other matcher owns every partition", MOVED_S)
        await world.matched()
        await traffic.some(12)
        epochs = await _epochs(world)
        world.stack.kill("matcher", signal.SIGCONT)
        await traffic.some(12)
        await world.shared_by(2)  # it comes back as a new owner, by the front door
    raised = [p for p, epoch in (await _epochs(world)).items() if epoch > epochs[p]]
    assert len(raised) >= PARTITIONS // 2, "half of the partitions were handed over with a new epoch"
    await judge(world, promised, repeats=True)


async def _epochs(world: World) -> dict[int, int]:
    return {row["p"]: row["epoch"] for row in await world.ask("SELECT p, epoch FROM partition")}
