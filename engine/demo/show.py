"""The run itself: stage and scene, the town's opening, traffic and guards, the drain, the evidence."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.clock import Clock
from engine.demo import setup
from engine.demo.api import Caller, callers
from engine.demo.errands import Errands
from engine.demo.evidence import Evidence, gather
from engine.demo.guards import Guards
from engine.demo.opening import opening_offset_ms
from engine.demo.phones import Phones
from engine.demo.report import report, shortfalls
from engine.demo.scene import Scene, scene
from engine.demo.stage import Stage, stage
from engine.demo.tills import Tills
from engine.demo.traffic import Traffic
from engine.errors import ServerError
from engine.postgres import queries
from engine.postgres.pool import ENGINE, connect
from engine.settings import Settings

DRAIN_S, STILL_S = 45.0, 1.0
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
    began_s: float = field(default_factory=time.monotonic)


@asynccontextmanager
async def opened(settings: Settings, options: Options, tell: setup.Tell) -> AsyncIterator[Show]:
    """Stage up, town founded, campaigns live, nobody on the streets yet."""
    offset_ms = opening_offset_ms(Clock().now_ms())
    now_ms = Clock(offset_ms).now_ms()
    async with AsyncExitStack() as stack:
        reading = asyncio.create_task(asyncio.to_thread(scene, options.phones, options.seed, now_ms))
        tell("starting PostgreSQL, Valkey, API, matchers, sender", 0, 1)
        on = await stack.enter_async_context(stage(settings, offset_ms))
        tell("starting PostgreSQL, Valkey, API, matchers, sender", 1, 1)
        client = await stack.enter_async_context(callers())
        played = await reading
        await _require_empty(on)
        town = await setup.found_town(on, client)
        await setup.open_stores(town, played.city, played.books, tell)
        await setup.enrol(town, played.people, tell)
        await setup.post_receipts(town, played.books, tell)
        await setup.launch(town, played.placed, tell)
        stand_in = Caller(client, on.stand_in_url, "")
        show = _cast(options, on, played, town, stand_in)
        await show.guards.prepare(stand_in)
        yield show


def _cast(options: Options, on: Stage, played: Scene, town: setup.Town, stand_in: Caller) -> Show:
    phones = Phones(town, played.people, stand_in)
    traffic = Traffic(town.app, on.clock, played.people, played.walkers, played.rides)
    guards = Guards(town, on.stack, on.clock, played.people)
    phones.watch.append(guards.hear)
    return Show(
        options,
        on,
        played,
        town,
        phones,
        traffic,
        Tills(town, phones, options.seed),
        guards,
        Errands(town, on.clock, played.people, traffic, options.seed),
    )


async def _require_empty(on: Stage) -> None:
    connection = await connect(on.settings, ENGINE)
    try:
        foreign = await queries.demo.foreign_retailers(connection)
    finally:
        await connection.close()
    if foreign:
        raise ServerError(f"DATABASE_URL names a database with {foreign} retailers; the demo wants an empty one")


async def perform(show: Show, stop: asyncio.Event, beside: list[Coroutine[Any, Any, None]]) -> None:
    """Traffic until its time is over or *stop* is set, then the drain; *beside* (screen, page) runs all the while."""
    seconds = show.options.seconds
    arriving = [show.phones.run(show.tills.carry), *_streams(show), *beside]
    going = [
        show.traffic.run(),
        show.errands.run(show.scene.words, show.scene.books),
        show.guards.run(seconds or GUARDS_S),
    ]
    async with together(arriving):
        async with together(going):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await stop.wait()
        if show.options.headless:
            await _drain(show)


def _streams(show: Show) -> list[Coroutine[Any, Any, None]]:
    """In-app streams of a few phones; the page opens the guest's own."""
    riders = [person for person in show.scene.people if person.part == "rider"][:STREAMS]
    return [show.phones.stream(person, _silent) for person in riders]


def _silent(_: dict[str, Any]) -> None:
    """Nobody looks at these phones."""


@asynccontextmanager
async def together(jobs: list[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run *jobs* beside the block and cancel them after it; the first one that fails fails the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(job) for job in jobs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _drain(show: Show) -> None:
    """Wait until nothing is decided any more and every message has ended, at most `DRAIN_S`."""
    connection = await connect(show.stage.settings, ENGINE)
    deadline_s, before = time.monotonic() + DRAIN_S, None
    try:
        while time.monotonic() < deadline_s:
            totals = dict(await queries.demo.totals(connection))
            if totals["open_messages"] == 0 and totals == before:
                return
            before = totals
            await asyncio.sleep(STILL_S)
    finally:
        await connection.close()


async def result(show: Show) -> Result:
    """Everything read back and judged."""
    connection = await connect(show.stage.settings, ENGINE)
    try:
        found = await gather(connection, show.stage.ledger, show.tills.shown.twice)
    finally:
        await connection.close()
    return judged(show, found)


def judged(show: Show, found: Evidence) -> Result:
    """The report with what only the demo knows, and all for which the run fails."""
    numbers, tried, shown = report(found), show.guards.tried, show.tills.shown
    numbers["tried"] = {
        "customers": found.totals["customers"],
        "revoked": len(tried.revoked),
        "revoked_with_a_push_waiting": tried.waiting,
        "shown_at_two_tills": found.twice_shown,
        "answered_already_redeemed": shown.refused,
        "matcher_killed": bool(tried.killed),
        "matcher_restarted": tried.restarted,
        "owners_replaced": found.totals["epochs"],
    }
    failures = [*numbers["violations"], *shortfalls(numbers)]
    return Result(numbers, failures)


Play = Callable[[Show], Coroutine[Any, Any, None]]
