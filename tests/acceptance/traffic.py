"""What an app, a retailer and two tills do while something dies: every answer they got is remembered.

Each lane repeats a request until it is acknowledged, with the same content and the same key, and waits a moment between
two of them; nobody here knows of the fault.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.acceptance.bodies import KIOSK, SHOP, STREET, campaign, fresh, now
from tests.acceptance.world import World

GROUP = 4
PACE_S = 0.08


@dataclass
class Acknowledged:
    """What the doors promised, from the first test of the module to the last."""

    walked: list[str] = field(default_factory=list)
    """Customers whose way from the street into the shop was acknowledged: each must have one coupon."""
    wandered: list[str] = field(default_factory=list)
    """The same of the kiosk, whose campaign runs out."""
    revoked_at_ms: dict[str, int] = field(default_factory=dict)
    """Customer → when the answer to the withdrawal of all marketing consent came."""
    receipts: set[str] = field(default_factory=set)
    redeemed: dict[str, str] = field(default_factory=dict)
    """Coupon → the key of the redemption that was told to succeed."""
    drafts: set[int] = field(default_factory=set)


class Traffic:
    """One stretch of traffic with customers of its own."""

    def __init__(self, world: World, promised: Acknowledged, people: list[str]) -> None:
        self._world = world
        self._promised = promised
        self._strollers, self._wanderers, self._wary = people[::2], people[1::4], people[3::4]
        self._stopping = False
        self._redeemable = asyncio.Queue[str]()
        self.walked = 0

    async def run(self) -> None:
        """Until `stop`, or until nobody is left to walk."""
        lanes = (self._stroll, self._wander, self._withdraw, self._buy, self._redeem, self._draft)
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(self._repeat(lane))

    def stop(self) -> None:
        self._stopping = True

    async def some(self, more: int) -> None:
        """Wait until so many customers more have walked in."""
        target, deadline = self.walked + more, time.monotonic() + 30.0
        while self.walked < target:
            assert time.monotonic() < deadline, "the traffic stands still"
            await asyncio.sleep(PACE_S)

    async def _repeat(self, lane: Callable[[], Awaitable[bool]]) -> None:
        while not self._stopping:
            if not await lane():
                return
            await asyncio.sleep(PACE_S)

    # ── lanes; False: nothing left to do ──

    async def _stroll(self) -> bool:
        """From the street into the shop; some reports come twice, some people leave and come back."""
        group = _taken(self._strollers)
        if not group:
            return False
        await self._world.pings(group, STREET)
        await self._world.pings(group, SHOP)
        turn = self.walked // GROUP
        if turn % 3 == 1:
            await self._world.pings(group, SHOP)
        if turn % 3 == 2:
            await self._world.pings(group, STREET)
            await self._world.pings(group, SHOP)
        self._promised.walked += group
        self.walked += len(group)
        self._redeemable.put_nowait(group[0])
        return True

    async def _wander(self) -> bool:
        group = _taken(self._wanderers)
        if group:
            await self._world.pings(group, STREET)
            await self._world.pings(group, KIOSK)
            self._promised.wandered += group
        return bool(group)

    async def _withdraw(self) -> bool:
        """Into the shop, and marketing forbidden at once: what is under way must not be sent much later."""
        for one in _taken(self._wary)[:1]:
            await self._world.pings([one], STREET)
            await self._world.pings([one], SHOP)
            body = {"marketing_push": False, "marketing_inapp": False}
            await self._world.good("PUT", f"/v1/customers/{one}/consents", "app", body)
            self._promised.revoked_at_ms[one] = time.time_ns() // 1_000_000
            return True
        return False

    async def _buy(self) -> bool:
        one, receipt = self._promised.walked[-1:] or [""], fresh("receipt")
        if one[0]:
            body = {
                "customer": one[0],
                "receipt": receipt,
                "at": now(-30),
                "total_minor": 200,
                "currency": "EUR",
                "lines": [{"product": "wick", "quantity": 1, "amount_minor": 200}],
            }
            await self._world.good("POST", "/v1/purchases", "retailer", body)
            self._promised.receipts.add(receipt)
        return True

    async def _redeem(self) -> bool:
        """One coupon at two tills at the same moment."""
        if self._redeemable.empty():
            return True
        customer = self._redeemable.get_nowait()
        token = (await self._world.good("POST", f"/v1/customers/{customer}/token", "app"))["token"]
        coupons = (await self._world.good("GET", "/v1/coupons", token))["coupons"]
        if coupons:
            keys = [fresh("till"), fresh("till")]
            told = await asyncio.gather(*(self._till(coupons[0]["code"], key) for key in keys))
            assert sorted(told) == [False, True], f"one coupon, two tills: {told}"
            self._promised.redeemed[coupons[0]["id"]] = keys[told.index(True)]
        return True

    async def _till(self, code: str, key: str) -> bool:
        body = {"code": code, "basket_minor": 2000, "currency": "EUR", "till": key}
        answer = await self._world.acked("POST", "/v1/redemptions", "till", body, key)
        assert answer.status_code in (201, 409), answer.text
        return answer.status_code == 201

    async def _draft(self) -> bool:
        body = campaign(fresh("draft"), "shop", 10)
        self._promised.drafts.add(
            (await self._world.good("POST", "/v1/campaigns", "retailer", body, fresh("key")))["id"]
        )
        return True


def _taken(people: list[str]) -> list[str]:
    group = people[:GROUP]
    del people[:GROUP]
    return group


@asynccontextmanager
async def flowing(
    world: World, promised: Acknowledged, people: int, *, counted: bool = False
) -> AsyncIterator[Traffic]:
    """Traffic in mid-flight for the length of the block, then stopped; the world is settled afterwards.

    *counted*: neither the API nor the log is harmed, so every report must have been counted exactly once, whoever
    matched it: two owners of one partition that both write are found by this, for the ids hide what else they do."""
    traffic = Traffic(world, promised, await world.people(people))
    if counted:
        await world.settled()
    reported, matched = world.reported, await _matched(world)
    running = asyncio.create_task(traffic.run())
    try:
        await traffic.some(GROUP * 4)
        yield traffic
        await traffic.some(GROUP * 4)
    finally:
        traffic.stop()
        await running
    await world.settled()
    if counted:
        assert await _matched(world) - matched == world.reported - reported, "every report counts once"


async def _matched(world: World) -> int:
    """Pings that the matchers have counted, whatever they thought of them."""
    sql = """SELECT coalesce(sum(n), 0)::bigint FROM tally
             WHERE name IN ('ping.accepted', 'ping.duplicate', 'ping.late', 'ping.no_consent')"""
    counted: int = await world.one(sql)
    return counted
