"""Campaigns uploaded over people who are inside already: from POST /v1/campaigns to the stored decision."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import geo
from engine.log.keys import PARTITIONS
from engine.matcher.cycle import Cycle
from engine.matcher.keeper import Keeper
from engine.matcher.ownership import Ownership
from engine.settings import Settings
from tests.contract.http_bodies import a_campaign, a_ping, now
from tests.contract.http_world import World, running
from tests.contract.matcher_rig import owner

START_S = 2.0
"""From the campaign's activation to the decision's row."""
SILENT_S = 130.0
"""Longer than a ping may be old to make an offer, and less than a visit lasts."""
WIDE_M = 80.0
AMPLE, SCARCE = 100_000, 160
"""Coupons, of which a partition leases a 64th at first; or a 16th, where as many people wait."""


class Matchers:
    """One matcher at a time, in this process, owning all partitions."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._stop = asyncio.Event()
        self._run: asyncio.Task[None] | None = None
        self._cycle: Cycle | None = None

    async def everywhere(self, campaign: int) -> bool:
        """Whether every partition is owned, and has switched to a snapshot in which the campaign is live."""
        owned = [] if self._cycle is None else list(self._cycle.owned.values())
        return len(owned) == PARTITIONS and all(campaign in one.state.snapshot.by_id for one in owned)

    async def start(self) -> None:
        self._stop.clear()
        self._run = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        async with owner(self._settings, self._folder) as one:
            self._cycle = one.cycle
            parts = (one.pool, one.stream, one.recovery, one.snapshots, one.cycle)
            await Keeper(*parts, Ownership(self._settings)).run(self._stop)

    async def hand_over(self) -> None:
        """It commits and checkpoints what it has; the next one begins."""
        self._stop.set()
        assert self._run is not None
        await self._run
        await self.start()

    async def die(self) -> None:
        """It gets to do nothing more; the next one begins."""
        await self.end()
        await self.start()

    async def end(self) -> None:
        assert self._run is not None
        while not self._run.done():  # the client that reads the log may swallow a cancellation
            self._run.cancel()
            await asyncio.wait([self._run], timeout=0.2)


@dataclass
class Shop:
    """A store with people in it."""

    world: World
    matchers: Matchers
    store: Any

    async def begin(self, **more: Any) -> int:
        """Upload a campaign for the store and make it live."""
        made = await self.world.good("POST", "/v1/campaigns", "retailer", a_campaign([self.store["code"]]) | more)
        await self.world.good("POST", f"/v1/campaigns/{made['id']}/activate", "retailer")
        number: int = made["id"]
        return number

    async def report(self, *customers: str, age_s: float = 0.0) -> None:
        """They are in the shop, or were so long ago."""
        pings = [a_ping(customer, at=now(-age_s)) for customer in customers]
        await self.world.good("POST", "/v1/pings", "app", {"pings": pings})

    async def decided(self, campaign: int) -> list[tuple[str, str]]:
        """(customer, trigger) of a campaign's decisions."""
        rows = await self.world.database.fetch(
            "SELECT c.id, d.trigger FROM decision d JOIN customer c ON c.number = d.customer WHERE campaign = $1"
            " ORDER BY 1",
            campaign,
        )
        return [tuple(row) for row in rows]

    async def becomes(self, ask: Callable[[], Awaitable[Any]], expected: Any, within_s: float = 10.0) -> float:
        """Wait until the answer is as expected; how long that took."""
        began = time.monotonic()
        while (answer := await ask()) != expected:
            assert time.monotonic() - began < within_s, answer
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def triggers(self) -> dict[str, int]:
        """What the matcher counted and committed."""
        rows = await self.world.database.fetch("SELECT name, sum(n)::int FROM tally GROUP BY 1")
        return {name.removeprefix("trigger."): n for name, n in rows if name.startswith("trigger.")}


@asynccontextmanager
async def open_shop(settings: Settings, folder: Path) -> AsyncIterator[Shop]:
    geo.warm()  # as the role does before it takes a partition: to compile in the loop would cost it its sessions
    async with running(settings) as world:
        matchers = Matchers(settings, folder)
        store = await world.store()
        await matchers.start()
        try:
            yield Shop(world, matchers, store)
        finally:
            await matchers.end()


@pytest.mark.parametrize("between", ["nothing", "a handover", "a death"])
async def test_a_campaign_reaches_who_is_inside_and_nobody_twice(
    settings: Settings, tmp_path: Path, between: str
) -> None:
    """Two stand in the shop with a fresh fix, one has been silent for more than two minutes."""
    async with open_shop(settings, tmp_path) as shop:
        one, other, silent = sorted([await shop.world.customer() for _ in range(3)])
        first = await shop.begin(budget_coupons=AMPLE)
        await shop.becomes(lambda: shop.matchers.everywhere(first), True)
        await shop.report(silent, age_s=SILENT_S)
        await shop.report(one, other)
        await shop.becomes(lambda: shop.decided(first), [(one, "enter"), (other, "enter")])

        second = await shop.begin(priority=5)
        await shop.becomes(lambda: shop.decided(second), [(one, "start"), (other, "start")], START_S)
        third = await shop.begin(radius_m=WIDE_M, priority=9)
        await shop.becomes(lambda: shop.decided(third), [(one, "enter"), (other, "enter")], START_S)
        if between == "a handover":
            await shop.matchers.hand_over()
        elif between == "a death":
            await shop.matchers.die()
        for _ in range(3):
            await shop.report(one, other)
        await shop.report(silent)
        await shop.becomes(lambda: shop.decided(third), [(one, "enter"), (other, "enter"), (silent, "enter")])
        fourth = await shop.begin()
        everybody = [(who, "start") for who in (one, other, silent)]
        await shop.becomes(lambda: shop.decided(fourth), everybody, START_S)
        assert await shop.decided(second) == [(one, "start"), (other, "start")], "outranked for the silent one"
        assert len(await shop.decided(first)) == 2
        assert (await shop.triggers())["start"] == 2 + 1 + 3


async def test_who_was_silent_is_reached_at_the_next_ping_across_two_deaths(settings: Settings, tmp_path: Path) -> None:
    """One before the start is checkpointed or even committed by anything else, one right before the ping."""
    async with open_shop(settings, tmp_path) as shop:
        silent, watch = await shop.world.customer(), await shop.world.customer()
        first = await shop.begin(budget_coupons=AMPLE)
        await shop.becomes(lambda: shop.matchers.everywhere(first), True)
        await shop.report(silent, age_s=SILENT_S)
        await shop.report(watch)
        await shop.becomes(lambda: shop.decided(first), [(watch, "enter")])
        second = await shop.begin(priority=5)
        await shop.becomes(lambda: shop.decided(second), [(watch, "start")], START_S)
        await shop.matchers.die()
        await shop.report(watch)
        await shop.matchers.hand_over()
        await shop.matchers.die()
        await shop.report(silent)
        await shop.becomes(lambda: shop.decided(second), sorted([(silent, "start"), (watch, "start")]))


async def test_a_start_has_as_many_coupons_as_it_meets_people(settings: Settings, tmp_path: Path) -> None:
    """A 64th of the budget would be two coupons a partition; some partition has more of these people."""
    async with open_shop(settings, tmp_path) as shop:
        crowd = sorted([await shop.world.customer() for _ in range(40)])
        first = await shop.begin(budget_coupons=AMPLE)
        await shop.becomes(lambda: shop.matchers.everywhere(first), True)
        await shop.report(*crowd)
        await shop.becomes(lambda: shop.decided(first), [(who, "enter") for who in crowd])
        per_partition = Counter([await shop.world.number(who) % PARTITIONS for who in crowd])
        assert SCARCE // 64 < max(per_partition.values()) <= SCARCE // 16
        second = await shop.begin(budget_coupons=SCARCE, priority=5)
        await shop.becomes(lambda: shop.decided(second), [(who, "start") for who in crowd], START_S)
