"""The push channel of one sender: three lanes, their slots, and a turn twice a second that looks at how they do."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import structlog

from engine import telemetry
from engine.channels.push import Channel
from engine.clock import Clock
from engine.sender.adaptive import TURN_S, Concurrency, Seen, turn
from engine.sender.brakes import Brakes
from engine.sender.feeder import Feeder
from engine.sender.flight import Flight, Tally
from engine.sender.lanes import LANES, Lane
from engine.sender.outbox import Outbox
from engine.sender.pacer import Pacer
from engine.sender.recorder import Recorder
from engine.sender.slots import Slots
from engine.sender.stock import Stock

log = structlog.get_logger()

SMOOTHING = 0.5
OBSERVED = 100
"""Attempts a turn whose time is told, evenly chosen: at thousands a second telling of all costs as much as sending."""

_ENDED = telemetry.counter("sender_messages", "messages that ended", ["state"])
_TOOK = telemetry.histogram("sender_push_seconds", "one attempt, written to answered; of a sample")


class WideChannel(Channel, Protocol):
    """A channel that can spread over more connections."""

    def widen(self, connections: int) -> None:
        """Spread what is sent over this many connections."""
        ...


class Pushes:
    """Everything between the outbox and one channel."""

    def __init__(self, outbox: Outbox, channel: WideChannel, pacer: Pacer, clock: Clock, lease_s: int) -> None:
        self._outbox = outbox
        self._channel = channel
        self._clock = clock
        self._renew_s = lease_s / 3
        stocks = {lane: Stock() for lane in LANES}
        self._recorder = Recorder(outbox, stocks.values())
        self._flight = Flight(channel, clock, self._recorder, Brakes(), stocks)
        self._flight.on_pause = pacer.pause
        self._flight.on_stop = self._stopped
        self._flight.on_poison = self._poisoned
        self._concurrency = Concurrency()
        self._slots = Slots(self._flight.fly, self._concurrency.limit)
        self._feeders = {lane: Feeder(lane, outbox, pacer, clock, self._slots, self._flight) for lane in LANES}
        self._turned_s = time.monotonic()

    def wake(self) -> None:
        """There may be something new to send."""
        for feeder in self._feeders.values():
            feeder.woken.set()

    def works(self) -> list[Callable[[], Awaitable[None]]]:
        """What runs until it is cancelled; each raises what the servers raise, and can be begun again."""
        return [*(feeder.forever for feeder in self._feeders.values()), self._recorder.forever, self._turns]

    async def drain(self, deadline_s: float) -> None:
        """Finish what is on the wire, record it, and give back the rest untouched."""
        with contextlib.suppress(TimeoutError):
            self._hold(LANES, 0.0, "drained")
            await self._slots.land(deadline_s)
        self._hold(LANES, 0.0, "drained")
        await self._recorder.flush()
        await self._release(LANES)
        self._slots.close()

    async def _turns(self) -> None:
        while True:
            meant_s = time.monotonic() + TURN_S
            await asyncio.sleep(TURN_S)
            self._slots.check()
            now_s = time.monotonic()
            self._adapt(now_s, now_s - meant_s)
            stopped = [lane for lane in LANES if self._flight.brakes.share(lane, now_s) == 0.0]
            if any(len(self._flight.stocks[lane]) for lane in stopped):
                await self._recorder.flush()
                await self._release(stopped)
            old = [c for stock in self._flight.stocks.values() for c in stock.to_renew(now_s - self._renew_s, now_s)]
            if old:
                await self._outbox.renew(old)

    def _adapt(self, now_s: float, late_s: float) -> None:
        tally, self._flight.tally = self._flight.tally, Tally()
        seconds, self._turned_s = now_s - self._turned_s, now_s
        for lane in LANES:
            seen = tally.lanes.get(lane, 0) / seconds
            self._slots.rate[lane] += (seen - self._slots.rate[lane]) * SMOOTHING
        for state, count in tally.ended.items():
            _ENDED.labels(state.value).inc(count)
        took = sorted(tally.took_s)
        for took_s in took[:: max(1, len(took) // OBSERVED)]:
            _TOOK.observe(took_s)
        p95_ms = took[len(took) * 95 // 100] * 1000 if took else 0.0
        seen_all = Seen(tally.answers, tally.faults, tally.throttled, p95_ms, self._slots.full, seconds, late_s * 1000)
        self._slots.full = False
        became = turn(self._concurrency, seen_all, now_s)
        if became.limit != self._concurrency.limit:
            log.info("concurrency.changed", limit=became.limit, rate=round(seen_all.rate), p95_ms=round(p95_ms))
            self._channel.widen(became.connections)
            self._slots.set_limit(became.limit)
        self._concurrency = became

    def _stopped(self, lane: Lane | None, for_s: float) -> None:
        self._hold(LANES if lane is None else (lane,), for_s, "lane_stopped")

    def _hold(self, lanes: Iterable[Lane], for_s: float, reason: str) -> None:
        """What is claimed and not written waits in later chunks."""
        for claims in self._slots.drain(lanes).values():
            for claim in claims:
                self._flight.hold(claim, for_s, reason)

    async def _release(self, lanes: Iterable[Lane]) -> None:
        """Give back chunks of which nothing is under way, due when their lane goes on."""
        now_s = time.monotonic()
        for lane in lanes:
            stock = self._flight.stocks[lane]
            wait_s = self._flight.brakes.wait_s(lane, now_s)
            released = stock.releasable(self._clock.now_ms() + round(wait_s * 1000))
            if released:
                await self._outbox.release(released)
                stock.forget(chunk for chunk, _, _ in released)

    async def _poisoned(self, campaign: int, detail: str) -> None:
        if await self._outbox.stop_campaign(campaign):
            log.error("campaign.stopped_by_provider", campaign=campaign, detail=detail)
