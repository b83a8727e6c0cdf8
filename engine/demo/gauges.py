"""The live numbers, read from PostgreSQL once a second; the wait from ping to push with the ledger's arrivals."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.clock import Clock
from engine.demo.phones import Push
from engine.postgres import queries
from engine.postgres.pool import ENGINE, LOST, connect
from engine.settings import Settings

EVERY_S = 1.0
LOOK_BACK_MS = 30_000
KEPT_WAITS = 2_000
PING_FATES = ("ping.accepted", "ping.duplicate", "ping.late", "ping.no_consent")


@dataclass(frozen=True)
class Gauges:
    """One reading; *inside* counts open visits (entered and not left), waits are of the last pushes on entering."""

    at_ms: int = 0
    pings: int = 0
    pings_s: float = 0.0
    inside: int = 0
    triggers: Mapping[str, int] = field(default_factory=dict)
    decisions: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    twice: int = 0
    late: int = 0
    coupons: int = 0
    run_out: int = 0
    sent: int = 0
    shown: int = 0
    redemptions: int = 0
    suppressed: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None


class Meter:
    """Reads until cancelled and tells *heard* of every reading."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._arrived: dict[str, int] = {}
        self._waits: deque[int] = deque(maxlen=KEPT_WAITS)
        self.now = Gauges()
        self.heard: list[Callable[[Gauges], None]] = []

    def hear(self, push: Push) -> None:
        """An arrival at the stand-in."""
        if push.arrival.accepted:
            self._arrived.setdefault(push.arrival.tag, push.arrival.at_ms)

    async def run(self) -> None:
        """One reading a second; while PostgreSQL is away the last one stays."""
        while True:
            try:
                connection = await connect(self._settings, ENGINE)
                try:
                    while True:
                        self.now = await self._read(connection)
                        for tell in self.heard:
                            tell(self.now)
                        await asyncio.sleep(EVERY_S)
                finally:
                    await connection.close()
            except LOST:
                await asyncio.sleep(EVERY_S)

    async def _read(self, connection: Any) -> Gauges:
        demo, at_ms = queries.demo, self._clock.now_ms()
        tally = {row["name"]: row["n"] async for row in demo.tallies(connection)}
        totals = await demo.totals(connection)
        messages = [row async for row in demo.messages(connection)]
        await self._measure(connection, at_ms)
        pings = sum(tally.get(name, 0) for name in PING_FATES)
        triggers = _named(tally, "trigger.")
        return Gauges(
            at_ms=at_ms,
            pings=pings,
            pings_s=_rate(self.now, pings, at_ms),
            inside=triggers.get("enter", 0) - triggers.get("exit", 0),
            triggers=triggers,
            decisions={row["name"]: row["n"] async for row in demo.by_trigger(connection)},
            reasons=_named(tally, "reason."),
            twice=tally.get("ping.duplicate", 0),
            late=tally.get("ping.late", 0),
            coupons=totals["coupons"],
            run_out=await demo.run_out(connection),
            sent=totals["sent"],
            shown=totals["shown"],
            redemptions=totals["redemptions"],
            suppressed=sum(row["n"] for row in messages if row["state"] == "suppressed"),
            p50_ms=self._wait(0.5),
            p99_ms=self._wait(0.99),
        )

    async def _measure(self, connection: Any, at_ms: int) -> None:
        """Join arrivals with the reports that led to them; what finds no partner within the look-back is dropped."""
        async for row in queries.demo.recent_entries(connection, since_ms=at_ms - LOOK_BACK_MS):
            if (arrived_ms := self._arrived.pop(row["id"], None)) is not None:
                self._waits.append(arrived_ms - row["event_ms"])
        self._arrived = {tag: ms for tag, ms in self._arrived.items() if ms > at_ms - LOOK_BACK_MS}

    def _wait(self, part: float) -> float | None:
        return round(float(np.quantile(np.array(self._waits), part))) if self._waits else None


def _rate(before: Gauges, pings: int, at_ms: int) -> float:
    """Pings a second since the last reading."""
    passed_ms = at_ms - before.at_ms
    return (pings - before.pings) * 1000 / passed_ms if before.at_ms and passed_ms > 0 else 0.0


def _named(tally: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): n for name, n in tally.items() if name.startswith(prefix)}
