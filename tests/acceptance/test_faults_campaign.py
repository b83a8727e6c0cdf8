"""Random parts die at random moments, one or two at a time, round after round; each round is judged whole."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio

from tests.acceptance.traffic import Acknowledged, flowing
from tests.acceptance.verdict import judge
from tests.acceptance.world import World, running

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="the servers' death signals are Linux's"),
]

PARTS = ("matcher", "matcher-2", "sender", "api", "valkey", "postgres")
ROUNDS = 24
PEOPLE = 600


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world() -> AsyncIterator[World]:
    async with running() as one:
        yield one


async def test_random_deaths_lose_and_double_nothing(world: World) -> None:
    draw, promised = Random(20261122), Acknowledged()
    for number in range(ROUNDS):
        victims = draw.sample(PARTS, draw.choice([1, 1, 2]))
        print(f"round {number}: {', '.join(victims)}")  # pytest shows it beside a failure
        async with flowing(world, promised, PEOPLE) as traffic:
            for victim in victims:
                await traffic.some(draw.randint(1, 24))
                await asyncio.sleep(draw.uniform(0.0, 0.1))  # anywhere between two answers, in a turn, in a commit
                await _kill(world, victim)
        await judge(world, promised, repeats=True)


async def _kill(world: World, name: str) -> None:
    """Kill the part, which may still be down from the round before, and wait until it lives again."""

    async def lives() -> bool:
        return world.stack.pid(name) is not None

    await world.until(lives, f"{name} lives")
    await world.back(name, world.stack.kill(name, signal.SIGKILL))
