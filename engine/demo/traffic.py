"""The phones' pings, in batches: on time, and some of them twice, late or out of order as real networks deliver them.

A phone reports every `PERIOD_S`, riders every second. `at` is the instant at which the batch is made.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from engine.clock import Clock
from engine.demo.api import Caller
from engine.demo.people import Person
from engine.demo.plane import Floats, Ints
from engine.demo.receipts import instant
from engine.demo.rides import Rides
from engine.demo.walkers import Walkers

PERIOD_S, SLOT_S, RIDERS_S = 5.0, 0.25, 1.0
SLOTS = round(PERIOD_S / SLOT_S)
MOST_ROWS = 500
TWICE, LATE = 0.015, 0.015
"""Shares of the pings that are delivered once more, and that come after the phone's next one."""
LATE_SLOTS = SLOTS + 6
MOST_FLYING = 40
"""Batches without an answer; above it the phones hold their pings back, as an app does."""


class Report(msgspec.Struct, frozen=True):
    """One ping on the wire."""

    customer: str
    lat: float
    lng: float
    at: str
    accuracy_m: float


Extra = Callable[[], Sequence[Report]]
"""More pings of this second: a replayed track."""


class Traffic:
    """Drives walkers and rides and posts what they report."""

    def __init__(self, app: Caller, clock: Clock, people: Sequence[Person], walkers: Walkers, rides: Rides) -> None:
        self._app, self._clock = app, clock
        self._ids = [person.id for person in people]
        self._walkers, self._rides = walkers, rides
        self._walking = np.array([person.part == "walker" for person in people])
        self._random = np.random.default_rng(len(people))
        self._later: deque[list[Report]] = deque([[] for _ in range(LATE_SLOTS)])
        self._flying: set[asyncio.Task[None]] = set()
        self.extra: Extra = list
        self.lat_deg: Floats = np.zeros(len(people))
        self.lng_deg: Floats = np.zeros(len(people))

    async def run(self) -> None:
        """Until cancelled; what is in flight then is finished."""
        start_ms, slot = self._clock.now_ms(), 0
        try:
            while True:
                self._slot(slot, start_ms)
                slot += 1
                due_ms = start_ms + round(slot * SLOT_S * 1000)
                await asyncio.sleep(max(0.0, (due_ms - self._clock.now_ms()) / 1000))
        finally:
            await asyncio.gather(*self._flying, return_exceptions=True)

    def _slot(self, slot: int, start_ms: int) -> None:
        """One quarter of a second: the phones whose turn it is."""
        now_ms = self._clock.now_ms()
        rows = self._walkers_report(slot % SLOTS)
        if slot % round(RIDERS_S / SLOT_S) == 0:
            rows += self._riders_report(now_ms, (now_ms - start_ms) / 1000)
            rows += self.extra()
        rows = self._as_networks_do(rows)
        for start in range(0, len(rows), MOST_ROWS):
            self._send(rows[start : start + MOST_ROWS])

    def _walkers_report(self, turn: int) -> list[Report]:
        pings = self._walkers.tick(self._clock.now_ms())
        now_ms = self._clock.now_ms()  # the walk's own arithmetic is no part of a ping's way
        self.lat_deg[self._walking] = pings.lat_deg[self._walking]
        self.lng_deg[self._walking] = pings.lng_deg[self._walking]
        due = np.flatnonzero((pings.phone % SLOTS == turn) & self._walking)
        return self._reports(due, pings.lat_deg[due], pings.lng_deg[due], pings.accuracy_m[due], now_ms)

    def _riders_report(self, now_ms: int, ridden_s: float) -> list[Report]:
        lat_deg, lng_deg, accuracy_m = self._rides.report(ridden_s)
        self.lat_deg[self._rides.phone], self.lng_deg[self._rides.phone] = lat_deg, lng_deg
        return self._reports(self._rides.phone, lat_deg, lng_deg, accuracy_m, now_ms)

    def _reports(self, phones: Ints, lat_deg: Floats, lng_deg: Floats, accuracy_m: Floats, now_ms: int) -> list[Report]:
        at, ids = instant(now_ms), self._ids
        columns = (phones.tolist(), lat_deg.round(7).tolist(), lng_deg.round(7).tolist(), accuracy_m.round(1).tolist())
        return [Report(ids[phone], lat, lng, at, acc) for phone, lat, lng, acc in zip(*columns, strict=True)]

    def _as_networks_do(self, rows: list[Report]) -> list[Report]:
        """Hold some back until after the phone's next ping, repeat some in the next slot, mix what came in between."""
        draw = self._random.uniform(size=len(rows)).tolist()
        self._later.append([row for row, x in zip(rows, draw, strict=True) if x < LATE])
        self._later[0] += [row for row, x in zip(rows, draw, strict=True) if x > 1 - TWICE]
        return [row for row, x in zip(rows, draw, strict=True) if x >= LATE] + self._later.popleft()

    def _send(self, rows: Sequence[Report]) -> None:
        if len(self._flying) < MOST_FLYING:
            task = asyncio.create_task(self._post(msgspec.json.encode({"pings": rows})))
            self._flying.add(task)
            task.add_done_callback(self._flying.discard)

    async def _post(self, body: bytes) -> None:
        await self._app.ask("POST", "/v1/pings", body)
