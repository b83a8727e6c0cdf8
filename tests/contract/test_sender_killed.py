"""kill -9 of the sender at random points: nothing is lost, and what comes twice lay in the killed one's hands."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from engine.channels.fcm_payload import MESSAGE_KEY
from engine.settings import Settings
from engine.standin.script import EVERYBODY, Answer
from tests.contract.sender_rig import Rig, rig

KILLS = 200
SEED = 6
PEOPLE = 30_000
SENDERS = 2
QUOTA_PER_S = 750
LEASE_S = 2
SLOWEST_S = 0.25
"""An answer takes so long at most."""
LOWEST = 4_000
"""Triggered messages are added when fewer wait."""
ADDED = 6_000

TRIGGERED = """
WITH given AS (
    SELECT n, gen_random_uuid() AS decision, (random() * $3)::bigint AS customer
    FROM generate_series(0, $2::bigint - 1) n
), decisions AS (
    INSERT INTO decision (id, p, position, customer, trigger, occasion, campaign, retailer, store, cell, event_at,
                          logged_at, decided_at, terms, held)
    SELECT decision, customer % 16, 1, customer, 'enter', gen_random_uuid(), $1, 1, 1, 0, now(), now(), now(), '{}',
           '[]'
    FROM given
), coupons AS (
    INSERT INTO coupon (id, decision, retailer, campaign, store, customer, code_hash, offer, issued_at, valid_until)
    SELECT gen_random_uuid(), decision, 1, $1, 1, customer, sha256(decision::text::bytea), '{}', now(),
           now() + interval '1 day' FROM given
), chunks AS (
    INSERT INTO chunk (day, channel, lane, size, due_at)
    SELECT current_date, 'fcm', 'triggered', count(*), now() FROM given GROUP BY n / 25 ORDER BY n / 25 RETURNING id
), placed AS (
    SELECT id, row_number() OVER (ORDER BY id) - 1 AS nth FROM chunks
)
INSERT INTO message (day, chunk, seq, id, decision, customer, campaign, channel, title, body, expires_at)
SELECT current_date, placed.id, n % 25 + 1, gen_random_uuid(), decision, customer, $1, 'fcm', 'Hello', 'Light',
       now() + interval '1 hour'
FROM given JOIN placed ON placed.nth = n / 25
"""
"""In chunks of twenty-five, as matchers write them."""
WINDOW = """
SELECT m.id FROM chunk c JOIN message m ON m.day = c.day AND m.chunk = c.id AND m.seq <= c.cursor
WHERE c.leased_by LIKE $1 AND NOT EXISTS (
    SELECT FROM outcome o WHERE o.day = m.day AND o.chunk = m.chunk AND o.seq = m.seq)
"""
"""What a sender had claimed and not recorded: all that it may have written without anybody knowing."""
HOLDS = "SELECT EXISTS (SELECT FROM chunk WHERE leased_by LIKE $1)"
START = {
    "code": "s", "name": "s", "trigger": "start", "radius_m": 50, "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2100-01-01T00:00:00Z", "cap": {"coupons": 1, "per_days": 1}, "budget_coupons": 1_000_000,
    "offer": {"kind": "percent_off", "percent": 10, "valid_for_s": 3600}, "creative": {"title": "T", "body": "B"},
}  # fmt: skip


@dataclass
class Senders:
    """What forks them, and those that live: pid and since when."""

    forks: asyncio.subprocess.Process
    living: dict[int, float] = field(default_factory=dict)

    async def start(self) -> None:
        """One more."""
        assert self.forks.stdin and self.forks.stdout
        self.forks.stdin.write(b"one\n")
        self.living[int(await self.forks.stdout.readline())] = time.monotonic()

    def end(self, pid: int, number: signal.Signals) -> None:
        """One fewer."""
        del self.living[pid]
        os.kill(pid, number)


@asynccontextmanager
async def senders(settings: Settings, log: Path) -> AsyncIterator[Senders]:
    forks = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.contract.killed_sender", stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, env=os.environ | settings.environ() | {"KILLED_SENDER_LOG": str(log)},
    )  # fmt: skip
    assert forks.stdout and await forks.stdout.readline() == b"ready\n"
    all_of_them = Senders(forks)
    try:
        yield all_of_them
    finally:
        for pid in list(all_of_them.living):
            with contextlib.suppress(ProcessLookupError):
                all_of_them.end(pid, signal.SIGKILL)
        forks.kill()
        await forks.wait()


async def start_campaign(world: Rig) -> int:
    number: int = await world.database.fetchval(
        "INSERT INTO campaign (retailer, code, state, spec, starts_at, ends_at)"
        " VALUES (1, 'start', 'live', $1, now() - interval '1 hour', now() + interval '1 day') RETURNING id",
        START,
    )
    await world.database.execute("INSERT INTO budget (campaign, retailer, total) VALUES ($1, 1, 1000000)", number)
    return number


async def top_up(world: Rig, campaign: int) -> None:
    waits = "SELECT coalesce(sum(size), 0) FROM chunk WHERE lane = 'triggered' AND leased_by IS NULL"
    if await world.database.fetchval(waits) < LOWEST:
        await world.database.execute(TRIGGERED, campaign, ADDED, PEOPLE - 1)
        await world.wake()


async def window_of(world: Rig, pid: int) -> list[str]:
    """Once the killed one's sessions are gone: its last statement may still have been running."""
    gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            while not await world.database.fetchval(f"{gone} AND pid <> pg_backend_pid()"):
                await asyncio.sleep(0.01)
    return [str(row["id"]) for row in await world.database.fetch(WINDOW, f"%:{pid}:%")]


async def campaign_of_kills(world: Rig, alive: Senders, kills: int, say: Any) -> list[list[str]]:
    """Kill *kills* senders at random points; what each left uncertain."""
    chance = random.Random(SEED)
    triggered = await world.campaign("t")
    windows: list[list[str]] = []
    for _ in range(SENDERS):
        await alive.start()
    while len(windows) < kills:
        await top_up(world, triggered)
        victim = chance.choice(list(alive.living))
        with contextlib.suppress(TimeoutError):  # one in twenty dies while it starts
            async with asyncio.timeout(chance.choice([0.05, *[3.0] * 19])):
                while not await world.database.fetchval(HOLDS, f"%:{victim}:%"):
                    await asyncio.sleep(0.01)
        await asyncio.sleep(chance.uniform(0.0, 0.8))
        alive.end(victim, signal.SIGKILL)
        windows.append(await window_of(world, victim))
        await alive.start()
        if len(windows) % 20 == 0:
            say(f"{len(windows)} of {kills} senders killed, {len(world.arrivals)} messages on the wire")
    return windows


async def prove(settings: Settings, folder: Path, kills: int, say: Any) -> None:
    async with rig(replace(settings, lease_s=LEASE_S, fcm_quota_per_s=QUOTA_PER_S), folder, PEOPLE) as world:
        chance = random.Random(SEED)
        world.script(EVERYBODY, *[Answer("ok", after_s=chance.uniform(0.0, SLOWEST_S), times=25) for _ in range(9_999)])
        number = await start_campaign(world)
        async with senders(world.settings, folder / "senders.log") as alive:
            windows = await campaign_of_kills(world, alive, kills, say)
            await world.until(lambda: ended(world, number), 240)
            for pid in list(alive.living):
                alive.end(pid, signal.SIGTERM)
        await check(world, number, windows, say)


async def ended(world: Rig, number: int) -> bool:
    return bool(
        await world.database.fetchval(
            "SELECT NOT EXISTS (SELECT FROM chunk) AND count(*) > 0 AND bool_and(done_at IS NOT NULL) FROM walk"
            " WHERE campaign = $1",
            number,
        )
    )


def fresh(windows: list[list[str]]) -> list[set[str]]:
    """Of each window what no earlier one held: a sender inherits what the one before it left."""
    seen: set[str] = set()
    found = []
    for window in windows:
        found.append(set(window) - seen)
        seen |= set(window)
    return found


async def check(world: Rig, number: int, windows: list[list[str]], say: Any) -> None:
    arrivals: dict[str, list[Any]] = {}
    for one in world.arrivals:
        arrivals.setdefault(one.data[MESSAGE_KEY], []).append(one)
    rows = await world.database.fetch("SELECT id::text, decision::text, state FROM message_state")
    states = Counter(row["state"] for row in rows)
    twice = {message: len(came) - 1 for message, came in arrivals.items() if len(came) > 1}
    sizes = sorted(map(len, fresh(windows)))
    say(
        f"{len(rows)} messages, {dict(states)}; {sum(twice.values())} came again; uncertain at a death:"
        f" median {sizes[len(sizes) // 2]}, most {sizes[-1]}, all {sum(sizes)}"
    )
    assert states == {"sent": len(rows)}, "every message ends, once, as what it is"
    assert len({row["id"] for row in rows}) == len(rows)
    assert arrivals.keys() == {row["id"] for row in rows}, "0 lost, and none that never was"
    decisions = {row["id"]: row["decision"] for row in rows}
    for message, came in arrivals.items():
        assert {one.tag for one in came} == {decisions[message]}, "a phone shows it once"
        assert len({one.registration for one in came}) == 1
    uncertain = Counter(message for window in windows for message in window)
    assert {m: n for m, n in twice.items() if n > uncertain[m]} == {}, "sent again is what a death left uncertain, only"
    assert sizes[len(sizes) // 4] > 0, "the kills met senders at work"
    assert twice or len(windows) < 50, "and some of what they had written was sent again"
    most = QUOTA_PER_S * 0.8 * (0.12 + 0.1 + SLOWEST_S) * 2 + 180
    assert sizes[-1] <= most, "claimed ahead, on the wire, not yet recorded: no more is ever uncertain"
    books = await world.database.fetchrow(
        "SELECT (SELECT count(*) FROM decision WHERE campaign = $1) AS decisions,"
        " (SELECT count(*) FROM coupon WHERE campaign = $1) AS coupons,"
        " (SELECT count(*) FROM budget_ledger WHERE campaign = $1) AS debits,"
        " (SELECT sum(spent) FROM budget_block WHERE campaign = $1)::bigint AS spent",
        number,
    )
    assert tuple(books) == (PEOPLE,) * 4, "the walk met everybody once"


@pytest.mark.slow
async def test_two_hundred_deaths_lose_nothing(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(line: str) -> None:
        with capsys.disabled():
            print(f"\n  {line}", end="", flush=True)

    await prove(settings, tmp_path, KILLS, say)
