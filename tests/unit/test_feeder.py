"""The feeder of a lane: what it asks for, and when."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from engine.clock import Clock
from engine.sender.brakes import Brakes
from engine.sender.feeder import Feeder
from engine.sender.flight import FRESH_S
from engine.sender.lanes import LANES, Lane
from engine.sender.outbox import Lease, Range
from engine.sender.pace import Ask, Grant
from engine.sender.stock import Stock

SIZE = 400


class Waiting:
    """An outbox with one chunk of one message, and a pace; both tell in which order they were asked. *leased* and
    *granted* are when each answers."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.asked: list[str] = []
        self.leased, self.granted, self.claimed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def lease(self, lane: Lane, most: int, blocked: Any) -> list[Lease]:
        self.asked.append("lease")
        await self.leased.wait()
        return [Lease(datetime.date(2026, 7, 1), 1, lane.value, 1, 0, None, None)]

    async def take(self, ask: Ask, now_ms: int) -> Grant:
        self.asked.append(f"take {ask.want}")
        await self.granted.wait()
        return Grant(ask.want)

    async def claim(self, day: datetime.date, ranges: Sequence[Range], closed: Any) -> list[Any]:
        self.asked.append(f"claim {sum(one.upto - one.after for one in ranges)}")
        self.claimed.set()
        await asyncio.Event().wait()
        return []


async def fed(lane: Lane) -> tuple[Waiting, asyncio.Task[None]]:
    """A feeder of *lane* that has been woken and asks."""
    servers: Any = Waiting(lane)
    flight: Any = SimpleNamespace(
        stocks={one: Stock() for one in LANES}, brakes=Brakes(), stale=dict.fromkeys(LANES, 0)
    )
    always = asyncio.Event()
    always.set()
    slots: Any = SimpleNamespace(wanted=lambda lane: always.wait(), room=lambda lane: 10)
    feeder = Feeder(lane, servers, servers, Clock(0), slots, flight)
    task = asyncio.create_task(feeder.forever())
    await asyncio.sleep(0.01)
    return servers, task


async def test_a_transactional_message_asks_for_its_token_while_it_is_leased() -> None:
    servers, task = await fed(Lane.TRANSACTIONAL)
    assert servers.asked == ["lease", "take 1"]
    servers.granted.set()
    servers.leased.set()
    async with asyncio.timeout(1):
        await servers.claimed.wait()
    assert servers.asked == ["lease", "take 1", "claim 1"], "one token, and it is the one that is used"
    task.cancel()


async def test_other_lanes_ask_for_tokens_when_there_is_something_to_send() -> None:
    for lane in (Lane.TRIGGERED, Lane.BULK):
        servers, task = await fed(lane)
        assert servers.asked == ["lease"]
        servers.leased.set()
        await asyncio.sleep(0.01)
        assert servers.asked == ["lease", "take 1"]
        task.cancel()


class Slow:
    """An outbox that takes 2 ms a message to claim, and slots that write what is fresh and put back the rest."""

    def __init__(self) -> None:
        self.flight: Any = SimpleNamespace(
            stocks={one: Stock() for one in LANES}, brakes=Brakes(), stale=dict.fromkeys(LANES, 0), texts={}
        )
        self.written: set[int] = set()
        self.leased = False
        self.over = asyncio.Event()

    async def lease(self, lane: Lane, most: int, blocked: Any) -> list[Lease]:
        leased, self.leased = self.leased, True
        return [] if leased else [Lease(datetime.date(2026, 7, 1), 1, lane.value, SIZE, 0, None, None)]

    async def take(self, ask: Ask, now_ms: int) -> Grant:
        return Grant(ask.want)

    async def claim(self, day: datetime.date, ranges: Sequence[Range], closed: Any) -> list[Any]:
        places = [place for one in ranges for place in range(one.after + 1, one.upto + 1)]
        await asyncio.sleep(0.002 * len(places))
        return [
            SimpleNamespace(chunk=1, seq=place, lane=Lane.TRANSACTIONAL, expires_ms=1 << 60, registration="r", title="",
                            campaign=None, ambiguous=False, first_tried_ms=0)
            for place in places
        ]  # fmt: skip

    def room(self, lane: Lane) -> int:
        return SIZE

    async def wanted(self, lane: Lane) -> None:
        await asyncio.sleep(0)

    def push(self, lane: Lane, ready: Sequence[Any]) -> None:
        stale = [one.claim for one in ready if time.monotonic() - one.claimed_s > FRESH_S]
        self.flight.stale[lane] += len(stale)
        self.flight.stocks[lane].put_back(stale)
        self.written |= {one.claim.seq for one in ready} - {one.seq for one in stale}
        if len(self.written) == SIZE:
            self.over.set()


async def test_claims_of_a_slow_database_become_small_enough_to_be_written() -> None:
    """Otherwise the same messages are claimed again and again, and nothing goes out."""
    slow: Any = Slow()
    feeder = Feeder(Lane.TRANSACTIONAL, slow, slow, Clock(0), slow, slow.flight)
    task = asyncio.create_task(feeder.forever())
    try:
        async with asyncio.timeout(10):
            await slow.over.wait()
    finally:
        task.cancel()
