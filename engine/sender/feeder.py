"""The feeder of one lane: leases chunks, asks the pace, claims, and hands to the slots what may go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec
import structlog

from engine.clock import Clock
from engine.sender.claim import Claim, refusal
from engine.sender.flight import FRESH_S, Flight
from engine.sender.lanes import Lane
from engine.sender.outbox import Batch, Lease, Outbox
from engine.sender.pace import Ask, Grant
from engine.sender.pacer import Pacer
from engine.sender.retry import Again
from engine.sender.slots import MOST_AHEAD, Ready, Slots
from engine.sender.stock import Pick

MOST_CHUNKS = {Lane.TRANSACTIONAL: 64, Lane.TRIGGERED: 64, Lane.BULK: 2}
"""Chunks leased at once: a bulk's hold a thousand messages each."""
MOST_HELD = 16
"""Chunks of slow campaigns that may lie here while others are looked for."""
MOST_PAUSE_S = 0.5

log = structlog.get_logger()


class Feeder:
    """Keeps one lane's slots busy, and no more claimed than they can write while it is fresh."""

    def __init__(self, lane: Lane, outbox: Outbox, pacer: Pacer, clock: Clock, slots: Slots, flight: Flight) -> None:
        self.lane = lane
        self._outbox = outbox
        self._pacer = pacer
        self._clock = clock
        self._slots = slots
        self._flight = flight
        self.stock = flight.stocks[lane]
        self.brakes = flight.brakes
        self.woken = asyncio.Event()
        self._blocked: dict[int, float] = {}
        self._most = MOST_AHEAD
        self._last = MOST_AHEAD
        self._took_s = 0.0
        self._stale = 0

    async def forever(self) -> None:
        """Feed until cancelled; raises what the servers raise."""
        while True:
            await self._slots.wanted(self.lane)
            now_s = time.monotonic()
            if wait_s := self.brakes.wait_s(self.lane, now_s):
                await asyncio.sleep(min(wait_s, MOST_PAUSE_S))
                continue
            await self._turn(self._room(now_s))

    def _room(self, now_s: float) -> int:
        room = self._slots.room(self.lane)
        share = self.brakes.share(self.lane, now_s)
        return room if share == 1.0 else max(1, round(room * share))

    async def _turn(self, room: int) -> None:
        """Lease what is missing, then claim what one bucket allows."""
        self.woken.clear()
        early = await self._restocked(room)
        now_s = time.monotonic()
        self._blocked = {one: until_s for one, until_s in self._blocked.items() if until_s > now_s}
        lease = self.stock.first(self._goes)
        if lease is None:
            await self._rest(now_s)
            return
        room = min(room, self._fresh())
        ask = Ask(self.lane, min(room, self.stock.left(lambda one: _together(one, lease))), *_rate(lease))
        grant = early if early and not ask.campaign else await self._pacer.take(ask, self._clock.now_ms())
        if grant.count:
            pick = self.stock.pick(grant.count, lambda one: _together(one, lease), time.monotonic())
            if pick is not None:
                await self._claim(pick)
        elif ask.campaign and not grant.paused:
            self._blocked[ask.campaign] = now_s + grant.wait_ms / 1000
        else:
            await asyncio.sleep(grant.wait_ms / 1000)

    async def _restocked(self, room: int) -> Grant | None:
        """Lease what is missing. Somebody waits for a transactional message, so the pace is asked for one meanwhile;
        where there was none after all, the token of one wake-up is lost."""
        if self.lane is not Lane.TRANSACTIONAL or self.stock.left(self._goes):
            await self._restock(room)
            return None
        _, grant = await asyncio.gather(self._restock(room), self._pacer.take(Ask(self.lane, 1), self._clock.now_ms()))
        return grant

    async def _restock(self, room: int) -> None:
        if len(self.stock) >= MOST_HELD or self.stock.left(self._goes) >= room:
            return
        leases = await self._outbox.lease(self.lane, MOST_CHUNKS[self.lane], self._blocked)
        if not leases:
            return
        begun = [one for one in leases if one.cursor]
        left = await self._outbox.left_behind(begun) if begun else {}
        empty = self.stock.add(leases, left, time.monotonic())
        if empty:
            await self._outbox.record(Batch(finished=empty))

    async def _rest(self, now_s: float) -> None:
        """Nothing may go: wait for a wake-up, or for the first campaign whose own rate allows more."""
        wait_s = min(self._blocked.values(), default=now_s + 3600.0) - now_s
        try:
            async with asyncio.timeout(max(0.005, wait_s)):
                await self.woken.wait()
        except TimeoutError:
            pass

    def _fresh(self) -> int:
        """How many to claim at once: half as many after a claim that was slow or came too late to be written, for on a
        slow database the same thousand would be claimed anew for ever; a few more each time that none did."""
        stale, self._stale = self._flight.stale[self.lane] - self._stale, self._flight.stale[self.lane]
        if self._took_s <= FRESH_S / 2 and not stale:
            self._most = min(MOST_AHEAD, self._most + self._most // 8 + 1)
        elif self._most > 1:
            self._most = max(1, min(self._most, self._last) // 2)
            log.warning("claims.slow", lane=self.lane.value, took_s=self._took_s, stale=stale, most=self._most)
        self._took_s = 0.0
        return self._most

    async def _claim(self, pick: Pick) -> None:
        self._last = pick.size
        claimed_s = time.monotonic()
        try:
            claims = await self._outbox.claim(pick.day, pick.ranges, self.brakes.closed(claimed_s))
        except BaseException:
            self.stock.restore(pick)
            raise
        self._took_s = round(time.monotonic() - claimed_s, 3)
        self.stock.missing(pick, claims)
        await self._read(claims)
        now_ms = self._clock.now_ms()
        good = [Ready(one, claimed_s) for one in self.stock.doubted(claims) if self._may_go(one, now_ms)]
        self._slots.push(self.lane, good)

    def _may_go(self, claim: Claim, now_ms: int) -> bool:
        why = refusal(claim, "fcm", now_ms)
        if why is None:
            return True
        if why.until_ms is not None:
            claim = msgspec.structs.replace(claim, first_tried_ms=0)  # a night is none of the hour it is tried for
            self._flight.wait(claim, Again(why.until_ms, charged=False, ambiguous=claim.ambiguous), why.reason)
        else:
            self._flight.withhold(claim, why.status, why.reason)
        return False

    async def _read(self, claims: Sequence[Claim]) -> None:
        """Texts of campaigns that are not known here yet."""
        known = self._flight.texts
        untold = {one.campaign for one in claims if one.title is None and one.campaign is not None} - known.keys()
        if untold:
            known.update(await self._outbox.creatives(untold))

    def _goes(self, lease: Lease) -> bool:
        return lease.campaign is None or lease.campaign not in self._blocked


def _together(one: Lease, first: Lease) -> bool:
    """Whether *one* may be claimed with *first*: by the same bucket."""
    return _rate(one) == _rate(first)


def _rate(lease: Lease) -> tuple[int, float]:
    """(campaign, its own rate), or zeros where it has none."""
    return (lease.campaign, lease.rate_per_s) if lease.campaign is not None and lease.rate_per_s else (0, 0.0)
