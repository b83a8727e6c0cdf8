"""The run itself: stage and scene, the town's opening, traffic and guards, the drain, the evidence."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from engine.clock import Clock
from engine.demo import setup
from engine.demo.api import Caller, callers
from engine.demo.errands import Errands
from engine.demo.evidence import Evidence, gather
from engine.demo.guards import Guards
from engine.demo.opening import opening_offset_ms
from engine.demo.phones import Phones
from engine.demo.replay import GUEST, Player
from engine.demo.report import report, shortfalls
from engine.demo.scene import Scene, scene
from engine.demo.stage import MATCHERS, Stage, stage
from engine.demo.tills import Tills
from engine.demo.traffic import Traffic
from engine.errors import CandlemakerError, ServerError
from engine.postgres import queries
from engine.postgres.pool import ENGINE, connect
from engine.settings import Settings

REFUSED = 'candlemaker_http_pings_refused_total{reason="no_consent"'
SERVERS = "PostgreSQL, Valkey, API, matchers, sender"
DRAIN_S, STILL_S = 30.0, 1.0
GUARDS_S = 60.0
"""Without an end the guards are tried within the first minute."""
STREAMS = 8
"""Phones besides the guest's that hold an in-app stream open."""


@dataclass(frozen=True)
class Options:
    """What `candlemaker demo` was asked for; `seconds` None: until told."""

    seconds: float | None
    headless: bool
    phones: int
    seed: int
    port: int
    replay: Path | None = None
    began_s: float = field(default_factory=time.time)
    """When the command was given, wall time."""


@dataclass(frozen=True)
class Result:
    """The report, and the sentences for which the exit status is 1."""

    numbers: dict[str, Any]
    failures: list[str]


@dataclass
class Show:
    """One run's cast, made by `opened`."""

    options: Options
    stage: Stage
    scene: Scene
    town: setup.Town
    phones: Phones
    traffic: Traffic
    tills: Tills
    guards: Guards
    errands: Errands

    @property
    def seconds(self) -> float | None:
        """How long the traffic runs; None until told."""
        replay = self.scene.replay
        return self.options.seconds or (replay.seconds if replay is not None else None)

    @property
    def judged(self) -> bool:
        """Whether the run ends with a report: one that ends by itself does."""
        return self.options.headless or self.seconds is not None


@asynccontextmanager
async def opened(settings: Settings, options: Options, tell: setup.Tell) -> AsyncIterator[Show]:
    """Stage up, town founded, campaigns live, nobody on the streets yet."""
    offset_ms = opening_offset_ms(Clock().now_ms())
    now_ms = Clock(offset_ms).now_ms()
    await _require_empty(settings)
    async with AsyncExitStack() as stack:
        reading = asyncio.create_task(asyncio.to_thread(scene, options.phones, options.seed, now_ms, options.replay))
        if options.replay is not None:
            await reading  # a file that is no track is refused before anything starts
        tell(SERVERS, 0, 1)
        on = await stack.enter_async_context(stage(settings, offset_ms))
        tell(SERVERS, 1, 1)
        played = await reading
        client = await stack.enter_async_context(callers())
        town = await setup.found_town(on, client)
        await setup.open_stores(town, played.city, played.books, tell)
        await setup.enrol(town, played.people, tell)
        await setup.post_receipts(town, played.books, tell)
        await setup.launch(town, played.placed, tell)
        stand_in = Caller(client, on.stand_in_url, "")
        show = _cast(options, on, played, town, stand_in)
        if played.replay is None:
            await show.guards.prepare(stand_in)
        yield show


def _cast(options: Options, on: Stage, played: Scene, town: setup.Town, stand_in: Caller) -> Show:
    phones = Phones(town, played.people, stand_in)
    traffic = Traffic(town.app, on.clock, played.people, played.walkers, played.rides)
    guards = Guards(town, on.stack, on.clock, played.people)
    phones.watch.append(guards.hear)
    if played.replay is not None:
        traffic.extra = Player(played.replay, played.people[GUEST], traffic, on.clock).report
    tills = Tills(town, phones, options.seed)
    errands = Errands(town, on.clock, played.people, traffic, options.seed)
    return Show(options, on, played, town, phones, traffic, tills, guards, errands)


async def _require_empty(given: Settings) -> None:
    """Before anything starts: migrations and matchers on a moved clock are nothing for somebody's database."""
    if not given.database_url:
        return  # the demo's own, made anew
    connection = await connect(given)
    try:
        foreign = await queries.demo.foreign_retailers(connection)
    except asyncpg.UndefinedTableError:
        foreign = 0
    finally:
        await connection.close()
    if foreign:
        raise ServerError(f"DATABASE_URL names a database with {foreign} retailers; the demo wants an empty one")


async def perform(show: Show, stop: asyncio.Event, beside: list[Coroutine[Any, Any, None]]) -> None:
    """Traffic until its time is over or *stop* is set, then the drain; *beside* (screen, page) runs all the while."""
    arriving = [show.phones.run(show.tills.carry), *_streams(show), *beside]
    going = [show.traffic.run(), show.errands.run(show.scene.searches, show.scene.books)]
    if show.scene.replay is None:
        going.append(show.guards.run(show.seconds or GUARDS_S))
    async with together(arriving):
        async with together(going):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(show.seconds):
                    await stop.wait()
        if show.judged:
            await _drain(show)


def _streams(show: Show) -> list[Coroutine[Any, Any, None]]:
    """In-app streams of a few phones; the page opens the guest's own."""
    riders = [person for person in show.scene.people if person.part == "rider"][:STREAMS]
    return [show.phones.stream(person, _silent) for person in riders]


async def _silent(_: dict[str, Any]) -> None:
    """Nobody looks at these phones."""


@asynccontextmanager
async def together(jobs: list[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run *jobs* beside the block and cancel them after it; the first one that fails fails the block."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
    except* CandlemakerError as refused:
        raise refused.exceptions[0] from None  # one sentence for the terminal, not a tree of tasks


async def _drain(show: Show) -> None:
    """Wait until little is decided any more, then end the matchers and wait until every message has ended: phones that
    stay where they are go on to dwell, and evidence that still grows contradicts itself.
    """
    connection = await connect(show.stage.settings, ENGINE)
    try:
        await _still(connection)
        for role in MATCHERS:
            await show.stage.stack.stop_role(role)
        await _still(connection)
    finally:
        await connection.close()


async def _still(connection: Any) -> None:
    """Return when two looks find the same rows and every message has ended, at the latest after `DRAIN_S`."""
    deadline_s, before = time.monotonic() + DRAIN_S, None
    while time.monotonic() < deadline_s:
        totals = dict(await queries.demo.totals(connection))
        if totals["open_messages"] == 0 and totals == before:
            return
        before = totals
        await asyncio.sleep(STILL_S)


async def refused_at_the_door(admin: Caller) -> int:
    """Pings of customers without consent that the API refused: counted by the API itself, in no table."""
    answer = await admin.ask("GET", "/metrics")
    lines = (line for line in answer.body.decode().splitlines() if line.startswith(REFUSED))
    return sum(round(float(line.rpartition(" ")[2])) for line in lines)


async def result(show: Show) -> Result:
    """Everything read back and judged."""
    connection = await connect(show.stage.settings, ENGINE)
    try:
        found = await gather(connection, show.stage.ledger, show.tills.shown.twice)
    finally:
        await connection.close()
    door = await refused_at_the_door(show.town.admin)
    played = judged(show, found)
    played.numbers["tried"]["pings_refused_without_consent"] = door
    return played


def judged(show: Show, found: Evidence) -> Result:
    """The report with what only the demo knows, and all for which the run fails."""
    numbers = report(found)
    numbers["first_coupon_s"] = _first_coupon_s(show, found)
    numbers["tried"] = _tried(show, found)
    if show.scene.replay is None:
        return Result(numbers, [*numbers["violations"], *shortfalls(numbers)])
    guest = found.customers[show.scene.people[GUEST].registration]
    won = sum(row["customer"] == guest for row in found.decisions.values())
    numbers["replay"] = {"said": show.scene.replay.said, "coupons": won}
    failures = [] if won else ["the replayed track won no coupon"]
    return Result(numbers, [*numbers["violations"], *failures])


def _first_coupon_s(show: Show, found: Evidence) -> float | None:
    """From the command to the first push at the stand-in; the stage's clock is wall time and an offset."""
    began_ms = show.options.began_s * 1000 + show.stage.clock.offset_ms
    return round((found.accepted[0].at_ms - began_ms) / 1000, 1) if found.accepted else None


def _tried(show: Show, found: Evidence) -> dict[str, Any]:
    tried, shown = show.guards.tried, show.tills.shown
    return {
        "customers": found.totals["customers"],
        "revoked": len(tried.revoked),
        "revoked_with_a_push_waiting": tried.waiting,
        "shown_at_two_tills": found.twice_shown,
        "answered_already_redeemed": shown.refused,
        "matcher_killed": bool(tried.killed),
        "matcher_restarted": tried.restarted,
        "owners_replaced": found.totals["epochs"],
    }
